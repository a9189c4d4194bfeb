//! A patch for Csound: one instrument listens for hits, with the exact type string that `OSClisten` requires.

use super::{
    Language, Listen, Schema, argument_comments, hit,
    hit::{CEILING, TEXTURES},
    introduction, quoted,
};

/// The gain of the mix: with it a mixed load has about −23 LUFS. The gains differ as the languages' envelopes do.
const MIX: f32 = 0.46;

/// The program text. Long: it is that text as it goes into the file.
pub fn patch(schemas: &[Schema], listen: Listen<'_>) -> String {
    let mut out = String::from("<CsoundSynthesizer>\n<CsOptions>\n-odac -d -m0 -R\n</CsOptions>\n<CsInstruments>\n");
    let run = "csound ftrace.csd    (csound -o x.wav ftrace.csd records it until Ctrl-C)";
    for line in introduction(Language::Csound, schemas, listen, run) {
        out += &format!("; {line}\n");
    }
    let port = listen.port;
    let own = |name: &str| quoted(&format!("{}/{name}", listen.prefix), '"');
    out += &format!(
        r#"sr = 48000
ksmps = 48
nchnls = 2
0dbfs = 1

giPort OSCinit {port}
gaLeft init 0
gaRight init 0
giSine ftgen 0, 0, 8192, 10, 1

; How each timbre is made: irq, sched, block, net, syscalls, mm, fs, other.
giTone[] fillarray {tone}
giNoise[] fillarray {noise}
giNarrow[] fillarray {narrow}
giRatio[] fillarray {ratio}
giBend[] fillarray {bend}
giDulls[] fillarray {dulls}
giAttack[] fillarray {attack}
; Those of the textures change while they sound.
gkTone[] fillarray {tone}
gkNoise[] fillarray {noise}
gkNarrow[] fillarray {narrow}
gkRatio[] fillarray {ratio}
gkBend[] fillarray {bend}

; Textures: one voice for each event that is dense, by its name.
#define TEXTURES #{TEXTURES}#
gSNames[] init $TEXTURES
gkHeard[] init $TEXTURES
gkLevel[] init $TEXTURES
gkNote[] init $TEXTURES
gkPan[] init $TEXTURES
gkBright[] init $TEXTURES
gkTimbre[] init $TEXTURES

; A note or grain: p4 note, p5 level, p6 pan, p7 timbre, p8 brightness.
instr Note
  iF = cpsmidinn(p4)
  iAttack = min(giAttack[p7], p3 / 3)
  aRise linseg 0, iAttack, 1, p3, 1
  aFall expseg 1, p3, 0.01
  aEnd linseg 1, p3, 0
  aBend expseg 1, p3 / giDulls[p7], 0.01, p3, 0.01
  aMod oscili giBend[p7] * (0.3 + 1.4 * p8), iF * giRatio[p7]
  aPhase phasor iF
  aTone tablei aPhase + aMod * aBend, giSine, 1, 0, 1
  aNoise noise 1, 0
  iGain = 0.5 / sqrt(3.14159 / 3 * iF / sr / giNarrow[p7])
  aBand butterbp aNoise, iF, iF / giNarrow[p7]
  aSound = (aTone * giTone[p7] + aBand * giNoise[p7] * iGain) * aRise * aFall * aEnd * p5
  aLeft, aRight pan2 aSound, (p6 + 1) / 2
  gaLeft += aLeft
  gaRight += aRight
endin

; The texture number p4, as long as there is one.
instr Texture
  iSlot = p4
  kTarget = gkLevel[iSlot]
  kLevel lineto kTarget, 0.1
  if kLevel < 0.00001 kgoto silent
    kTimbre = gkTimbre[iSlot]
    kBright = gkBright[iSlot]
    kNarrow = gkNarrow[kTimbre] * (1.3 - kBright)
    kF = cpsmidinn(portk(gkNote[iSlot], 0.03))
    aMod oscili gkBend[kTimbre] * (0.2 + 0.8 * kBright), kF * gkRatio[kTimbre]
    aPhase phasor kF
    aTone tablei aPhase + aMod, giSine, 1, 0, 1
    kShimmer randi 0.35, 6 + 30 * kBright
    aNoise noise 1, 0
    aBand butterbp aNoise, kF, kF / kNarrow
    kGain = 0.5 / sqrt(3.14159 / 3 * kF / sr / kNarrow)
    aSound = aTone * gkTone[kTimbre] * 0.55 * (0.65 + kShimmer) + aBand * (0.6 + 0.2 * gkNoise[kTimbre]) * kGain
    aLevel interp kLevel
    aLeft, aRight pan2 aSound * aLevel, (portk(gkPan[iSlot], 0.05) + 1) / 2
    gaLeft += aLeft
    gaRight += aRight
silent:
  ; One of which nothing comes any more has ended unheard.
  if timeinsts() - gkHeard[iSlot] > 0.5 then
    gkLevel[iSlot] = 0
  endif
endin

; Fades in for a second, and keeps a thousand hits at once from being louder than the loudspeakers.
instr Output
  kFade linseg 0.1, 1, 1, 1, 1
  outs {CEILING} * tanh(gaLeft * kFade * {mix} / {CEILING}), {CEILING} * tanh(gaRight * kFade * {mix} / {CEILING})
  clear gaLeft, gaRight
  ; With -o FILE, Csound would write as fast as it can: it waits for the clock, so that a file is as long as what was heard.
  iBegan rtclock
wait:
  kNow rtclock
  if timeinsts() - (kNow - iBegan) > 0.25 kgoto wait
endin

instr Hits
  SEvent = ""
  kForm, kTimbre, kNote, kLevel, kLength, kPan, kBright init 0
next:
  kGot OSClisten giPort, {hit}, {tags}, SEvent, kForm, kTimbre, kNote, kLevel, kLength, kPan, kBright
  if kGot == 0 kgoto done
  kTimbre limit kTimbre, 0, 7
  if kForm < 2 then
    event "i", "Note", 0, kLength / 1000, kNote, kLevel, kPan, kTimbre, kBright
    kgoto next
  endif
  kSlot = -1
  kFree = -1
  kI = 0
  while kI < $TEXTURES do
    kSame strcmpk gSNames[kI], SEvent
    if kSame == 0 then
      kSlot = kI
    elseif gkLevel[kI] == 0 && kFree < 0 then
      kFree = kI
    endif
    kI += 1
  od
  if kSlot < 0 && kFree >= 0 && kLevel > 0 then
    kSlot = kFree
    gSNames[kSlot] strcpyk SEvent
  endif
  if kSlot >= 0 then
    gkHeard[kSlot] = timeinsts()
    gkLevel[kSlot] = kLevel
    gkNote[kSlot] = kNote
    gkPan[kSlot] = kPan
    gkBright[kSlot] = kBright
    gkTimbre[kSlot] = kTimbre
  endif
  kgoto next
done:
endin

; About the stream itself.
instr Stream
  SHost = ""
  kCpus, kVersion, kSec, kUsec init 0
  kRead, kSent, kThinned, kLost, kMalformed, kDropped, kWindow init 0
starts:
  kGot OSClisten giPort, {start}, "siiii", SHost, kCpus, kVersion, kSec, kUsec
  if kGot == 1 then
    printf "ftrace-live: started on %s\n", kSec + kUsec, SHost
    kgoto starts
  endif
stats:
  kGot OSClisten giPort, {stat}, "iiiiiif", kRead, kSent, kThinned, kLost, kMalformed, kDropped, kWindow
  if kGot == 1 then
    kSeconds init 0
    kSeconds += 1
    if kLost + kDropped > 0 then
      printf "ftrace-live: lost %d in the kernel, %d here\n", kSeconds, kLost, kDropped
    endif
    kgoto stats
  endif
endin

; The events themselves come as well. To take one: kGot OSClisten giPort, "ADDRESS", "TAGS", ... with these.
{events}</CsInstruments>
<CsScore>
"#,
        mix = MIX,
        tone = hit::table(|r| r.tone, ", "),
        noise = hit::table(|r| r.noise, ", "),
        narrow = hit::table(|r| r.narrow, ", "),
        ratio = hit::table(|r| r.ratio, ", "),
        bend = hit::table(|r| r.bend, ", "),
        dulls = hit::table(|r| r.dulls, ", "),
        attack = hit::table(|r| r.attack, ", "),
        hit = quoted(&hit::address(listen), '"'),
        tags = quoted(super::super::hit::TAGS, '"'),
        events = argument_comments(schemas, ";", |schema, k| {
            let kind = if schema.arguments.get(k).is_some_and(|argument| argument.tag == 's') { 'S' } else { 'k' };
            format!("{kind}{}", k + 1)
        }),
        start = own("start"),
        stat = own("stat"),
    );
    out += "i \"Stream\" 0 z\ni \"Hits\" 0 z\n";
    for slot in 0..TEXTURES {
        // A fractional number makes each texture an instance of its own.
        out += &format!("i \"Texture\" 0 z {slot}\n");
    }
    out += "i \"Output\" 0 z\n</CsScore>\n</CsoundSynthesizer>\n";
    out
}
