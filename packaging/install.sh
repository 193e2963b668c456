#!/bin/sh
# Install Pasu on this box from the folder that this file is in, without a network. Done twice it does no harm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

say() {
    case ${LC_ALL:-${LC_MESSAGES:-${LANG:-}}} in
    ko* | KO*) echo "$1" ;;
    *) echo "$2" ;;
    esac
}
refuse() {
    say "$1" "$2" >&2
    exit "${3:-1}"
}

[ "$(id -u)" -eq 0 ] || refuse "root로 실행하십시오: sudo sh install.sh" "Run it as root: sudo sh install.sh"
. /etc/os-release
[ "${ID:-}-${VERSION_ID:-}" = debian-12 ] ||
    refuse "이 꾸러미는 데비안 12용입니다. 이 기기: ${PRETTY_NAME:-?}" "This is for Debian 12; this box runs ${PRETTY_NAME:-?}."
architecture=$(dpkg --print-architecture)
package=$(ls "$here"/pasu-agent_*_"$architecture".deb 2>/dev/null) ||
    refuse "이 기기($architecture)용 꾸러미가 아닙니다." "There is no package here for this box ($architecture)."
(cd "$here" && sha256sum --check --quiet --strict SHA256SUMS) ||
    refuse "저장 장치의 파일이 손상되었습니다. 다시 만드십시오." "Files on this stick are damaged: make it anew."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial"
# What the package recommends and is on the stick comes along (libraries for a TPM); what is not is done without.
# apt splits at blanks, and a stick's name may have some.
ln -s "$here" "$work/stick"
# Whoever made the stick checked Debian's signatures; here the digests above count.
echo "deb [trusted=yes] file:$work/stick ./" >"$work/sources.list"
# What apt does is kept, and shown when it fails: on a box without a network it looks for much that is not there (Ign:).
# Its errors and warnings, and those of the packages, go to stderr, and are shown at once.
apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq --yes \
        -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/lists" \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Dir::Cache::Archives="$work/archives" -o APT::Sandbox::User=root "$@" \
        >>"$work/said" || {
        status=$?
        cat "$work/said" >&2
        refuse "설치하지 못했습니다. 위의 오류를 보십시오. 고친 뒤 다시 해도 됩니다." "Not installed: see the errors above. It can be done again once they are mended." "$status"
    }
}
say "설치하는 중입니다. 몇 분 걸릴 수 있습니다…" "Installing; this may take some minutes..."
apt update
apt install --reinstall "$package"
# The way back of the first update. Not of postinst: dpkg gives it neither the package's file nor its signature.
if [ ! -e "$package.minisig" ]; then
    say "서명 없는 꾸러미라 되돌아갈 길로 간직하지 못합니다." "This package is not signed, and cannot be kept as the way back of an update."
elif ! pasu update keep "$package"; then
    say "설치는 되었으나 되돌아갈 길로 간직하지 못했습니다. 위의 까닭을 보고: sudo pasu update keep \"$package\"" \
        "Installed, but not kept as the way back of an update. Mend what is said above, then: sudo pasu update keep \"$package\"" >&2
fi
next=$([ -e /etc/pasu/agent.toml ] && echo doctor || echo init)  # on a box that records already it was an upgrade
say "설치되었습니다. 이제: sudo pasu $next" "Installed. Now: sudo pasu $next"
