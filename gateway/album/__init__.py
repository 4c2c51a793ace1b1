"""The album: pictures that the owner chose to keep."""

from gateway.album.files import remove_files
from gateway.album.keeping import FOLDER, Album, Limits, said_of

__all__ = ["FOLDER", "Album", "Limits", "remove_files", "said_of"]
