#!/bin/sh
# Makes docs/demo.ogg and docs/irq.ogg with their spectrograms again, which the README shows: the demo at its own pace, and half a
# second of interrupts and page faults twenty times slower. Needs oggenc and sox (apt install vorbis-tools sox).
#
#   docs/render.sh [FTRACE-LIVE]            the program to render with; without it: target/release/ftrace-live
set -eu

here=$(cd "$(dirname "$0")" && pwd)
program=${1:-$here/../target/release/ftrace-live}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

gzip -dc "$here/../src/page/demo/demo.dat.gz" > "$work/demo.dat"
"$program" render "$work/demo.dat" -o "$work/demo.wav"
"$program" render "$here/../fixtures/x86_64-6.18/irq-exceptions" --speed 1/20 -o "$work/irq.wav"
for name in demo irq; do
    # The serial number is random unless it is said.
    oggenc -Q -q 1 -s 1 -o "$here/$name.ogg" "$work/$name.wav"
    sox "$work/$name.wav" -n remix - rate 12k spectrogram -x 760 -y 200 -z 70 -t "$name.ogg" -c "" -o "$here/$name.png"
done
ls -l "$here/demo.ogg" "$here/irq.ogg" "$here/demo.png" "$here/irq.png" >&2
