"""Keep pydantic from looking for plugins: no third-party code runs in the daemon, and it starts 15 ms earlier.

Imported before pydantic is.
"""

import os

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
