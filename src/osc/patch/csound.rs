//! A patch for Csound: one listening instrument per event with the exact type string, which `OSClisten` insists on.

use super::{
    Language, Listen, Schema, argument_lines, identifier, introduction, plain, quoted,
    voice::{LOWEST_NOTE, NOTE_RANGE, SEMITONES, Voice},
};

/// The program text.
pub fn patch(schemas: &[Schema], listen: Listen<'_>) -> String {
    let mut out = String::from("<CsoundSynthesizer>\n<CsOptions>\n-odac -d -m0\n</CsOptions>\n<CsInstruments>\n");
    for line in introduction(Language::Csound, schemas, listen, "csound ftrace.csd") {
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

; One sound: p4 note, p5 loudness, p6 pan, p7 timbre.
instr Hit
  aEnv expsegr p5, p3, 0.0001, 0.01, 0.0001
  aMod oscili p7 * 0.7, cpsmidinn(p4) * (1 + p7 * 0.5)
  aTone oscili aEnv, cpsmidinn(p4) * (1 + aMod)
  aLeft, aRight pan2 aTone, p6
  gaLeft += aLeft
  gaRight += aRight
endin

; Keeps a thousand hits at once from being louder than the loudspeakers.
instr Output
  outs tanh(gaLeft), tanh(gaRight)
  clear gaLeft, gaRight
endin
"#
    );
    for (position, schema) in schemas.iter().enumerate() {
        out += &listener(schema, position);
    }
    out += &format!(
        r#"
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
</CsInstruments>
<CsScore>
"#,
        start = own("start"),
        stat = own("stat"),
    );
    out += "i \"Stream\" 0 z\n";
    for (position, schema) in schemas.iter().enumerate() {
        out += &format!("i \"{}\" 0 z\n", instrument(schema, position));
    }
    out += "i \"Output\" 0 z\n</CsScore>\n</CsoundSynthesizer>\n";
    out
}

/// The instrument's name: numbered, since two events may share a name.
fn instrument(schema: &Schema, position: usize) -> String {
    format!("Listen{}_{}", position + 1, identifier(&schema.event))
}

/// The instrument that receives one event.
fn listener(schema: &Schema, position: usize) -> String {
    let voice = Voice::of(schema, position);
    let variable = |k: usize| {
        let kind = if schema.arguments[k].tag == 's' { 'S' } else { 'k' };
        format!("{kind}{}_{}", k + 1, identifier(&schema.arguments[k].name))
    };
    let names: Vec<String> = (0..schema.arguments.len()).map(variable).collect();
    let mut out = format!("\n; {} ,{}\n", plain(&schema.address), schema.tags);
    for line in argument_lines(schema, |k| names[k].clone()) {
        out += &format!(";   {line}\n");
    }
    out += &format!("instr {}\n", instrument(schema, position));
    for (argument, name) in schema.arguments.iter().zip(&names) {
        out += &if argument.tag == 's' { format!("  {name} = \"\"\n") } else { format!("  {name} init 0\n") };
    }
    out += &format!(
        r#"next:
  kGot OSClisten giPort, {}, {}, {}
  if kGot == 1 then
    ; dt: milliseconds since this event last occurred: what is rare rings, what is dense becomes grain.
    kLength limit {} * 0.001, 0.02, 0.6
    kNote = {LOWEST_NOTE} + ({SEMITONES} * log2(1 + abs({}))) % {NOTE_RANGE}
    kPan = frac({} * 0.618)
    event "i", "Hit", 0, kLength, kNote, 0.04 + kLength * 0.27, kPan, {}
    kgoto next
  endif
endin
"#,
        quoted(&schema.address, '"'),
        quoted(&schema.tags, '"'),
        names.join(", "),
        names[voice.dt],
        names[voice.pitch],
        names[voice.cpu],
        voice.timbre,
    );
    out
}
