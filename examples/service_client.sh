#!/usr/bin/env bash
# Ask a service for the objects of an image:
#
#     sparseinst serve &
#     examples/service_client.sh cells.png [http://localhost:8000]
set -euo pipefail
address=${2:-http://localhost:8000}
curl --silent --show-error --fail-with-body --retry 30 --retry-connrefused --retry-delay 1 \
  -H "X-API-Key: ${SPARSEINST_API_KEY:-}" -F "image=@$1" "$address/v1/predict?masks=rle&score=0.5"
echo
