"""Ask a service for the objects of an image, with nothing but Python's own library.

    sparseinst serve &
    python examples/service_client.py cells.png [http://localhost:8000]

service_client.sh does the same with curl. Where the service wants a key, put it into SPARSEINST_API_KEY.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from uuid import uuid4


def ask(image: Path, address: str, **options: str) -> dict:
    """The answer of the service: {"images": [{"instances": [...]}]}."""
    border = uuid4().hex
    head = f'--{border}\r\nContent-Disposition: form-data; name="image"; filename="{image.name}"\r\n\r\n'
    query = "&".join(f"{name}={value}" for name, value in options.items())
    request = urllib.request.Request(
        f"{address}/v1/predict?{query}",
        data=head.encode() + image.read_bytes() + f"\r\n--{border}--\r\n".encode(),
        headers={
            "Content-Type": f"multipart/form-data; boundary={border}",
            "X-API-Key": os.environ.get("SPARSEINST_API_KEY", ""),
        },
    )
    while True:
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503:  # busy or still loading: it says when to return
                raise SystemExit(error.read().decode()) from error
            time.sleep(float(error.headers.get("Retry-After", 1)))


if __name__ == "__main__":
    where = sys.argv[2] if len(sys.argv) > 2 else "http://localhost:8000"
    found = ask(Path(sys.argv[1]), where, masks="polygons", score="0.5")["images"][0]["instances"]
    print(f"{len(found)} objects")
    for one in found[:5]:
        print(one["class"], round(one["score"], 3), one["bbox"])
