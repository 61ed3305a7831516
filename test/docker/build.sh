#!/usr/bin/env bash
# Builds the Dockerfile with buildah, without a registry of images: the base is made from this machine's own Node, npm and shell.
#
#   test/docker/build.sh DIRECTORY         keeps everything in DIRECTORY, which the caller deletes; the image is `kittiwake` there
#   BASE=node:26-slim test/docker/build.sh DIRECTORY        with a real base, where one can be pulled
#
# Needs root and buildah. Packages come from npm's cache on this machine where they are in it, otherwise from its registry.
set -euo pipefail

repository=$(cd "$(dirname "$0")/../.." && pwd)
storage=$(realpath "${1:?usage: build.sh DIRECTORY}")
node=$(node -p 'fs.realpathSync(process.execPath)')
npm=$(dirname "$(dirname "$(realpath "${npm_execpath:-$(command -v npm)}")")")

buildah() { command buildah --root "$storage/graph" --runroot "$storage/run" --storage-driver vfs "$@"; }

# Copies a program with the libraries that it needs, each to where it is found here.
copy_program() {
  local library
  for library in $(ldd "$1" | grep -o '/[^ )]*'); do install -D "$library" "$storage/base$library"; done
  install -D "$1" "$storage/base${2:-$1}"
}

make_base() {
  local program
  mkdir -p "$storage/base"/{etc,root,tmp,usr/local/bin,usr/local/lib/node_modules}
  chmod 1777 "$storage/base/tmp"
  echo 'root:x:0:0:root:/root:/bin/sh' >"$storage/base/etc/passwd"
  for program in sh mkdir chown rm; do copy_program "$(command -v "$program")" "/bin/$program"; done
  copy_program "$(command -v env)" /usr/bin/env
  copy_program "$node" /usr/local/bin/node
  cp -r "$npm" "$storage/base/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$storage/base/usr/local/bin/npm"

  local container
  container=$(buildah from scratch)
  buildah copy --quiet "$container" "$storage/base" / >/dev/null
  buildah config --env PATH=/usr/local/bin:/usr/bin:/bin "$container"
  buildah commit --quiet --rm "$container" localhost/base >/dev/null
  rm -r "$storage/base"
}

# What npm needs to know of this machine, and none of its credentials.
npm_settings() {
  echo "registry=$(npm config get registry)"
  echo "cache=/npm-cache"
  echo "prefer-offline=true"
  echo "update-notifier=false"
  [ -z "${NODE_EXTRA_CA_CERTS:-}" ] || echo "cafile=/npm-ca.pem"
}

if [ -z "${BASE:-}" ]; then
  make_base
  BASE=localhost/base
fi
npm_settings >"$storage/npmrc"
cache=$(npm config get cache)
mkdir -p "$cache"
mounts=(--volume "$storage/npmrc:/root/.npmrc:ro" --volume "$cache:/npm-cache")
[ -z "${NODE_EXTRA_CA_CERTS:-}" ] || mounts+=(--volume "$(realpath "$NODE_EXTRA_CA_CERTS"):/npm-ca.pem:ro")

# The docker format, because the OCI one has no health check
buildah bud --isolation chroot --format docker --layers=false --pull=false --build-arg "BASE=$BASE" "${mounts[@]}" --tag kittiwake "$repository"
