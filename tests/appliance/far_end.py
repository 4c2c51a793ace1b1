"""Runs inside the box, on its own Python: an upstream that keeps each event as a line of the file that it is given."""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        told = json.loads(body)  # a list, because the sink has a batch
        with Path(sys.argv[1]).open("a", encoding="utf-8") as kept:
            kept.writelines(json.dumps(cloud["data"]) + "\n" for cloud in told)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


HTTPServer(("127.0.0.1", 9080), Handler).serve_forever()
