"""Print the path of a second supported Python on this machine, or nothing: 3.13 beside 3.11 and the other way round."""

import shutil
import sys
from pathlib import Path

wanted = "3.11" if sys.version_info >= (3, 12) else "3.13"
versions = Path.home().glob(f".pyenv/versions/{wanted}.*/bin/python{wanted}")
found = next((str(path) for path in sorted(versions)), None) or shutil.which(f"python{wanted}")
if found:
    print(found)
