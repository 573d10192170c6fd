#!/bin/sh
# Builds OneShotSegLib/browser/page/vendor/niivue.js anew: NiiVue and what it needs in one file, without the
# decompressors of OME-Zarr (1.4 MB of WebAssembly), for the page sends NIfTI alone. Needs npm, and a registry.
set -eu
VERSION=0.69.0
ESBUILD=0.28.2
TARGET=$(cd "$(dirname "$0")/.." && pwd)/OneShotSegLib/browser/page/vendor/niivue.js
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
cd "$WORK"
npm init --yes > /dev/null
npm install --no-audit --no-fund --ignore-scripts=false "@niivue/niivue@$VERSION" "esbuild@$ESBUILD" > /dev/null
cat > absent.js <<'STUB'
export default { fromConfig() { throw new Error("This codec is left out: OneShotSeg sends NIfTI alone."); } };
STUB
cat > entry.js <<'ENTRY'
export { Niivue, NVImage, SLICE_TYPE, SHOW_RENDER, DRAG_MODE } from "@niivue/niivue";
ENTRY
npx esbuild entry.js --bundle --format=esm --minify --outfile="$TARGET" \
	--alias:numcodecs/zstd=./absent.js --alias:numcodecs/blosc=./absent.js --alias:numcodecs/lz4=./absent.js \
	--alias:numcodecs/zlib=./absent.js --alias:numcodecs/gzip=./absent.js
