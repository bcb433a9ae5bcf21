#!/usr/bin/env bash
# Runs the kernel tests on processors that this machine does not have, emulated by Bochs: a small
# Linux whose first process runs them. README.md says what for, and what it needs.
#
#   run.sh TEST INIT [CPU]...
#
#   TEST, INIT   the static programs kernels_bochs_test and kernels_bochs_init
#   CPU          models of Bochs (bochs --help cpu); default: one with AVX512-VNNI, one without AVX2
#
#   VMLINUZ      kernel image (default: the newest of /boot)
#   BOCHS_LIMIT  seconds per processor (default 1200)
set -euo pipefail

if [ $# -lt 2 ]; then
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
fi
test=$(realpath "$1")
init=$(realpath "$2")
shift 2
cpus=("$@")
[ ${#cpus[@]} -gt 0 ] || cpus=(corei7_icelake_u corei7_sandy_bridge_2600k)
limit=${BOCHS_LIMIT:-1200}
kernel=${VMLINUZ:-$(find /boot -name 'vmlinuz-*' | sort -V | tail -n 1)}
isolinux=${ISOLINUX:-/usr/lib/ISOLINUX/isolinux.bin}
ldlinux=${LDLINUX:-/usr/lib/syslinux/modules/bios/ldlinux.c32}

missing=()
for command in bochs genisoimage python3; do
  command -v "$command" >/dev/null || missing+=("$command")
done
for file in "$kernel" "$isolinux" "$ldlinux" /usr/share/bochs/BIOS-bochs-latest; do
  [ -f "$file" ] || missing+=("${file:-a kernel in /boot}")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "run.sh: missing: ${missing[*]} (README.md names the packages)" >&2
  exit 2
fi

work=$(mktemp -d)
bochs=
trap '[ -z "$bochs" ] || kill "$bochs" 2>/dev/null || true; rm -rf "$work"' EXIT

# A cpio archive ("newc") with /init, /test and a console.
python3 - "$work/initrd" "$init" "$test" <<'PY'
import sys

def entry(out, name, mode, data=b"", device=(0, 0)):
    name = name.encode() + b"\0"
    entry.inode += 1
    fields = [entry.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    out.write(header + b"\0" * (-len(header) % 4) + data + b"\0" * (-len(data) % 4))

entry.inode = 0
with open(sys.argv[1], "wb") as out:
    entry(out, "dev", 0o40755)
    entry(out, "dev/console", 0o20600, device=(5, 1))
    for name, path in (("init", sys.argv[2]), ("test", sys.argv[3])):
        with open(path, "rb") as program:
            entry(out, name, 0o100755, program.read())
    entry(out, "TRAILER!!!", 0)
PY

# Linux takes features that Bochs 2.7 announces but does not emulate as a processor would: sizes of
# the saved state with PKU (515), XSAVEC (321) and XSAVES (323); fast short copies (FSRM, 580, and
# ERMS, 297), with which memmove goes wrong.
mkdir -p "$work/iso/isolinux"
cp "$isolinux" "$ldlinux" "$work/iso/isolinux/"
cp "$kernel" "$work/iso/vmlinuz"
cp "$work/initrd" "$work/iso/initrd"
cat >"$work/iso/isolinux/isolinux.cfg" <<'CFG'
default linux
prompt 0
label linux
  kernel /vmlinuz
  initrd /initrd
  append console=ttyS0,115200 nokaslr quiet mitigations=off lpj=1000000 tsc=reliable no_timer_check random.trust_cpu=on idle=halt clearcpuid=297,321,323,515,580 panic=-1
CFG
genisoimage -quiet -o "$work/linux.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
  -no-emul-boot -boot-load-size 4 -boot-info-table "$work/iso"
echo continue >"$work/commands" # for Bochs built with its debugger

# Boots the processor $1 and prints what the tests say, until the machine switches itself off.
run_on() {
  local serial="$work/$1.txt" seconds=0
  cat >"$work/bochsrc" <<RC
display_library: rfb, options="timeout=0"
cpu: model=$1, count=1, ips=50000000
memory: guest=512, host=512
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=$work/linux.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$serial
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
clock: sync=none
panic: action=fatal
error: action=ignore
info: action=ignore
log: $work/$1.log
RC
  echo "== $1"
  bochs -q -f "$work/bochsrc" -rc "$work/commands" </dev/null >"$work/out" 2>&1 &
  bochs=$!
  while kill -0 "$bochs" 2>/dev/null && [ "$seconds" -lt "$limit" ] &&
    ! grep -qsE '^bochs: (passed|failed)|Kernel panic' "$serial"; do
    sleep 1
    seconds=$((seconds + 1))
  done
  sleep 1
  kill "$bochs" 2>/dev/null || true
  wait "$bochs" 2>/dev/null || true
  bochs=
  [ -f "$serial" ] && grep -v '^\[' "$serial" || tail -n 20 "$work/out" "$work/$1.log"
  echo "$1: $seconds s"
  grep -qs '^bochs: passed' "$serial"
}

failed=0
for cpu in "${cpus[@]}"; do
  run_on "$cpu" || { echo "run.sh: $cpu failed" >&2; failed=1; }
done
exit "$failed"
