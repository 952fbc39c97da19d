#!/usr/bin/env bash
# Builds the wheel for 64-bit ARM on another machine, as the project's own setup.py builds any, and runs tests from that
# wheel under Debian's arm64 Python in qemu. Never needs root, but what `needed` names; half an hour of one core.
#   tests/foreign/arm64.sh [FOLDER [PYTEST ARGUMENT...]]         FOLDER: /tmp/cellward-arm64, tests: tests/kernels
# FOLDER keeps the wheel, the ARM Python (`FOLDER/python -m bms.cli ...`) and its packages for the next run.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=$(realpath -m "${1:-/tmp/cellward-arm64}")
[ $# -gt 1 ] && tests=("${@:2}") || tests=(tests/kernels)
python=${PYTHON:-python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1

needed() { # COMMAND PACKAGE
    command -v "$1" >/dev/null || { echo "arm64: $1 is not installed (Debian package $2)" >&2; exit 2; }
}
needed git git
needed apt-get apt
needed qemu-aarch64-static qemu-user-static
needed aarch64-linux-gnu-gcc "gcc-aarch64-linux-gnu, with libc6-dev-arm64-cross"

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
root=$folder/root
mkdir -p "$folder"

# An apt of its own: this machine's sources, another architecture, nothing installed.
if [ ! -x "$root/usr/bin/python$version" ]; then
    echo "== unpacking Debian's python$version for arm64"
    mkdir -p "$folder"/apt/state/lists/partial "$folder"/apt/cache/archives/partial "$folder"/debs "$root"
    : > "$folder/apt/status"
    cat > "$folder/apt/apt.conf" <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
Dir::State "$folder/apt/state";
Dir::State::status "$folder/apt/status";
Dir::Cache "$folder/apt/cache";
APT::Sandbox::User "root";
END
    export APT_CONFIG=$folder/apt/apt.conf
    apt-get update -qq
    apt-get install -qq --no-install-recommends --print-uris "libpython$version-dev" "python$version" libstdc++6 |
        awk '{ sub(/_.*/, "", $2); print $2 }' | grep -Ev '^(linux-libc-dev|libc6-dev|libc-dev-bin|dpkg|tar)$' > "$folder/packages"
    (cd "$folder/debs" && xargs apt-get download -qq < ../packages)
    for package in "$folder"/debs/*.deb; do dpkg -x "$package" "$root"; done
    unset APT_CONFIG
fi

if [ ! -x "$folder/build/bin/python" ]; then
    echo "== making the environment that builds"
    "$python" -m venv "$folder/build"
    "$python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' |
        "$folder/build/bin/python" -m pip install --quiet -r /dev/stdin
fi

echo "== building the wheel"
rm -rf "$folder"/{source,wheel,config,site,run} # packages of an older wheel would hide what this one's metadata lacks
mkdir "$folder"/{source,config,run}
git ls-files -z | tar --null --ignore-failed-read -T - -c | tar -x -C "$folder/source"
cp "$root/usr/lib/python$version/_sysconfigdata__aarch64-linux-gnu.py" "$folder/config"
env PYTHONPATH="$folder/config" _PYTHON_SYSCONFIGDATA_NAME=_sysconfigdata__aarch64-linux-gnu \
    _PYTHON_HOST_PLATFORM=linux-aarch64 CC=aarch64-linux-gnu-gcc LDSHARED="aarch64-linux-gnu-gcc -shared" \
    CPPFLAGS="-I$root/usr/include/python$version -I$root/usr/include" \
    "$folder/build/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation -w "$folder/wheel" "$folder/source"
wheel=("$folder"/wheel/*_aarch64.whl)
echo "${wheel[0]}"

echo "== installing it with its dependencies"
platforms=(--platform linux_aarch64 --platform manylinux2014_aarch64)
for minor in $(seq 17 36); do platforms+=(--platform "manylinux_2_${minor}_aarch64"); done
"$folder/build/bin/python" -m pip install --quiet --target "$folder/site" --only-binary=:all: --implementation cp \
    --python-version "$version" "${platforms[@]}" "${wheel[0]}" pytest pytest-asyncio pytest-timeout hypothesis
cat > "$folder/python" <<END
#!/bin/sh
PYTHONPATH="$folder/site" exec qemu-aarch64-static -L "$root" "$root/usr/bin/python$version" "\$@"
END
chmod +x "$folder/python"

echo "== testing what the wheel installed"
cp -r tests pyproject.toml "$folder/run"
cd "$folder/run"
exec "$folder/python" -m pytest -p no:cacheprovider --timeout 0 "${tests[@]}"
