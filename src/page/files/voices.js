// The voices: an AudioWorklet that plays hits at their times. It decides nothing; what a hit is, /ftrace/hit says.
//
// 64 voices at most, of three forms: a note dies away by itself, a grain is a short window, a texture goes on for as long
// as its hits come. Then a room, a fade-in of a second, and a limiter.

const VOICES = 64;
const SIZE = 2048;
const LOOKAHEAD = 240;
const CEILING = 0.84; // −1.5 dBFS

/** One period of a sum of partials, given by amplitude. */
function table(...partials) {
  const wave = new Float32Array(SIZE + 1);
  let most = 0;
  for (let k = 0; k <= SIZE; k++) {
    partials.forEach((level, n) => (wave[k] += level * Math.sin((2 * Math.PI * k * (n + 1)) / SIZE)));
    most = Math.max(most, Math.abs(wave[k]));
  }
  return wave.map((sample) => sample / most);
}

const SINE = table(1);
const ODD = table(1, 0.02, 0.5, 0.02, 0.28, 0.01, 0.15);

// dark, bright: the tone, by brightness. ratio, second: an inharmonic partial and its level; it dies sooner by `dies`.
// noise: level of noise, in a band around the note. attack: s. drop: how far the pitch falls, in octaves. hold: whether it
// sustains. gain: to be as loud as the others.
const TIMBRES = [
  { dark: table(1, 0.3, 0.08), bright: table(1, 0.7, 0.5, 0.36, 0.25, 0.18), ratio: 4.02, second: 0.12, dies: 6, noise: 0, attack: 0.002, drop: 0, hold: false, gain: 0.8 },
  { dark: SINE, bright: table(1, 0.1, 0.12, 0.3), ratio: 3.93, second: 0.4, dies: 9, noise: 0.1, attack: 0.002, drop: 0, hold: false, gain: 1 },
  { dark: SINE, bright: table(1, 0.4, 0.1), ratio: 1.51, second: 0.25, dies: 5, noise: 0.12, attack: 0.003, drop: 0.9, hold: false, gain: 1.15 },
  { dark: SINE, bright: table(1, 0.15, 0.05), ratio: 2.757, second: 0.5, dies: 1.8, noise: 0, attack: 0.002, drop: 0, hold: false, gain: 0.7 },
  { dark: SINE, bright: table(1, 0.4, 0.2), ratio: 2, second: 0.06, dies: 2, noise: 0.9, attack: 0.018, drop: 0, hold: true, gain: 0.7 },
  { dark: SINE, bright: SINE, ratio: 1.5, second: 0.1, dies: 3, noise: 1.5, attack: 0.006, drop: 0.1, hold: false, gain: 0.6 },
  { dark: table(1, 0.05, 0.3, 0.02, 0.1), bright: ODD, ratio: 2, second: 0.05, dies: 2, noise: 0.04, attack: 0.014, drop: 0, hold: true, gain: 0.6 },
  { dark: SINE, bright: table(1, 0.35, 0.15), ratio: 2, second: 0.08, dies: 3, noise: 0, attack: 0.004, drop: 0, hold: false, gain: 0.85 },
];

const NOTE = 0, GRAIN = 1, TEXTURE = 2;
const hertz = (note) => 440 * 2 ** ((note - 69) / 12);

class Voice {
  constructor() {
    this.on = false;
    this.key = "";
  }

  start(hit, now) {
    const timbre = TIMBRES[hit.timbre] ?? TIMBRES[7];
    const texture = hit.form === TEXTURE;
    Object.assign(this, {
      on: true, key: texture ? hit.event : "", form: hit.form, timbre, begun: now, age: 0,
      phase: 0, phase2: 0.25, phase3: 0.5, low: 0, band: 0, tremble: Math.random() * 6.28, level: texture ? 0 : hit.level,
    });
    this.frequency = hertz(hit.note);
    this.length = Math.max(hit.form === GRAIN ? 0.008 : 0.04, hit.length / 1000);
    this.set(hit);
    this.bright = this.wantBright;
  }

  /** What a texture's next hit changes. */
  set(hit) {
    this.wantLevel = hit.level;
    this.wantFrequency = hertz(hit.note);
    this.wantBright = hit.brightness;
    const angle = ((hit.pan + 1) * Math.PI) / 4;
    this.left = Math.cos(angle);
    this.right = Math.sin(angle);
    this.updated = this.age;
  }

  /** Loudness now, to find the voice that is missed least. */
  weight() {
    return this.form === TEXTURE ? 1 + this.level : this.level * Math.max(0, 1 - this.age / (this.length * sampleRate));
  }

  play(left, right, from, to) {
    const t = this.timbre, rate = sampleRate, dt = 1 / rate;
    const texture = this.form === TEXTURE, grain = this.form === GRAIN;
    const seconds = this.length, attack = grain ? seconds / 2 : Math.min(t.attack, seconds / 2);
    // An amplitude of a thousandth at the end.
    const fall = Math.exp((-6.9 * dt) / seconds), fall2 = Math.exp((-6.9 * t.dies * dt) / seconds);
    let envelope = Math.exp((-6.9 * this.age * dt) / seconds), envelope2 = Math.exp((-6.9 * t.dies * this.age * dt) / seconds);
    const glide = 1 - Math.exp(-dt / 0.06);
    const stale = texture && this.age - this.updated > 0.35 * rate;
    for (let k = from; k < to; k++) {
      const time = this.age * dt;
      let loud, frequency = this.frequency;
      if (texture) {
        this.level += ((stale ? 0 : this.wantLevel) - this.level) * glide;
        this.frequency += (this.wantFrequency - this.frequency) * glide;
        this.bright += (this.wantBright - this.bright) * glide;
        this.tremble += 2.1 * dt;
        loud = this.level * (0.82 + 0.18 * Math.sin(this.tremble));
      } else if (grain) {
        loud = this.level * Math.sin(Math.PI * Math.min(1, time / seconds)) ** 2;
      } else if (t.hold) {
        const release = seconds * 0.6;
        loud = this.level * Math.min(1, time / attack) * Math.min(1, Math.max(0, (seconds - time) / release)) ** 2;
      } else {
        loud = this.level * Math.min(1, time / attack) * envelope;
      }
      if (t.drop && !texture) frequency *= 2 ** (t.drop * Math.exp(-time / 0.025));
      const step = frequency * dt;
      this.phase += step;
      this.phase -= Math.floor(this.phase);
      this.phase2 += step * t.ratio;
      this.phase2 -= Math.floor(this.phase2);
      const at = this.phase * SIZE, index = at | 0;
      const mix = this.bright * (texture || t.hold ? 1 : 0.35 + 0.65 * envelope2);
      let sample = t.dark[index] * (1 - mix) + t.bright[index] * mix;
      sample += t.second * SINE[(this.phase2 * SIZE) | 0] * (texture ? 0.3 : grain ? 0.5 : envelope2 / Math.max(envelope, 1e-4));
      if (texture) {
        this.phase3 += step * 1.0035;
        this.phase3 -= Math.floor(this.phase3);
        sample = 0.5 * sample + 0.4 * t.dark[(this.phase3 * SIZE) | 0];
      }
      const noise = texture ? 0.35 + t.noise : t.noise;
      if (noise > 0) {
        // A state variable filter around the note, or above it where it is bright.
        const centre = Math.min(0.9, 2 * Math.sin(Math.PI * Math.min(0.15, step * (1 + 3 * this.bright))));
        this.low += centre * this.band;
        const high = Math.random() * 2 - 1 - this.low - 0.35 * this.band;
        this.band += centre * high;
        sample = sample / (1 + noise) + this.band * noise * 0.8;
      }
      envelope *= fall;
      envelope2 *= fall2;
      sample *= loud * t.gain;
      left[k] += sample * this.left;
      right[k] += sample * this.right;
      this.age++;
    }
    if (texture ? this.level < 1e-4 && (stale || this.wantLevel === 0) : this.age * dt > seconds) this.on = false;
  }
}

/** Four delays that feed each other, damped: a small room. */
class Room {
  constructor() {
    this.lines = [1423, 1777, 2137, 2671].map((length) => new Float32Array(Math.round((length * sampleRate) / 48000)));
    this.at = [0, 0, 0, 0];
    this.damp = [0, 0, 0, 0];
  }

  play(left, right, length) {
    const [a, b, c, d] = this.lines;
    for (let k = 0; k < length; k++) {
      const out = this.lines.map((line, n) => line[this.at[n]]);
      for (let n = 0; n < 4; n++) this.damp[n] += (out[n] - this.damp[n]) * 0.42;
      const [p, q, r, s] = this.damp;
      const half = 0.5 * 0.83;
      const into = [half * (p + q + r + s), half * (p - q + r - s), half * (p + q - r - s), half * (p - q - r + s)];
      into[0] += left[k] * 0.5;
      into[1] += right[k] * 0.5;
      [a, b, c, d].forEach((line, n) => {
        line[this.at[n]] = into[n];
        this.at[n] = this.at[n] + 1 === line.length ? 0 : this.at[n] + 1;
      });
      left[k] += 0.32 * (p + r);
      right[k] += 0.32 * (q + s);
    }
  }
}

class Hits extends AudioWorkletProcessor {
  constructor() {
    super();
    this.voices = Array.from({ length: VOICES }, () => new Voice());
    this.queue = [];
    this.room = new Room();
    this.gain = 1;
    this.fade = 0;
    this.delay = [new Float32Array(LOOKAHEAD), new Float32Array(LOOKAHEAD)];
    this.delayed = 0;
    this.recording = null;
    this.busy = 0;
    this.port.onmessage = ({ data }) => this.told(data);
  }

  told(data) {
    if (data.hits) {
      for (const hit of data.hits) {
        // Nearly always the last: they come in the order of time.
        let at = this.queue.length;
        while (at > 0 && this.queue[at - 1].when > hit.when) at--;
        this.queue.splice(at, 0, hit);
      }
      if (this.queue.length > 4096) this.queue.splice(0, this.queue.length - 4096);
    }
    if (data.mute) {
      for (const voice of this.voices) if (voice.on && voice.form === TEXTURE && data.mute.includes(voice.key)) voice.wantLevel = 0;
      this.queue = this.queue.filter((hit) => !data.mute.includes(hit.event));
    }
    if (data.clear) {
      this.queue = [];
      for (const voice of this.voices) if (voice.on && voice.form === TEXTURE) voice.wantLevel = 0;
    }
    if (data.record === true) this.recording = [];
    if (data.record === false) {
      this.give();
      this.recording = null;
      this.port.postMessage({ recorded: true });
    }
  }

  give() {
    if (this.recording?.length) this.port.postMessage({ samples: this.recording }, this.recording.map((part) => part.buffer));
    if (this.recording) this.recording = [];
  }

  begin(hit) {
    if (hit.form === TEXTURE) {
      const known = this.voices.find((voice) => voice.on && voice.key === hit.event);
      if (known) return known.set(hit);
      if (hit.level === 0) return undefined;
    }
    let voice = this.voices.find((candidate) => !candidate.on);
    voice ??= this.voices.reduce((least, candidate) => (candidate.weight() < least.weight() ? candidate : least));
    return voice.start(hit, currentTime);
  }

  process(_, [[left, right]]) {
    const length = left.length;
    let from = 0;
    const until = currentTime + length / sampleRate;
    const play = (to) => {
      if (to <= from) return;
      for (const voice of this.voices) if (voice.on) voice.play(left, right ?? left, from, to);
      from = to;
    };
    while (this.queue.length && this.queue[0].when < until) {
      const hit = this.queue.shift();
      play(Math.max(from, Math.min(length, Math.round((hit.when - currentTime) * sampleRate))));
      this.begin(hit);
    }
    play(length);
    if (!right) return true;
    this.room.play(left, right, length);
    const release = 1 - Math.exp(-1 / (0.15 * sampleRate));
    for (let k = 0; k < length; k++) {
      this.fade = Math.min(1, this.fade + 1 / sampleRate);
      const louder = 0.9 * this.fade * this.fade;
      const [l, r] = [left[k] * louder, right[k] * louder];
      const peak = Math.max(Math.abs(l), Math.abs(r));
      const most = peak > CEILING ? CEILING / peak : 1;
      // Down within the lookahead, up slowly.
      this.hold = most < (this.wanted ?? 1) ? LOOKAHEAD : Math.max(0, (this.hold ?? 0) - 1);
      this.wanted = most < (this.wanted ?? 1) ? most : this.hold > 0 ? this.wanted : 1;
      this.gain += (this.wanted - this.gain) * (this.wanted < this.gain ? 5 / LOOKAHEAD : release);
      const clip = (sample) => Math.max(-0.89, Math.min(0.89, sample));
      left[k] = clip(this.delay[0][this.delayed] * this.gain);
      right[k] = clip(this.delay[1][this.delayed] * this.gain);
      this.delay[0][this.delayed] = l;
      this.delay[1][this.delayed] = r;
      this.delayed = this.delayed + 1 === LOOKAHEAD ? 0 : this.delayed + 1;
    }
    if (this.recording) {
      const both = new Float32Array(2 * length);
      for (let k = 0; k < length; k++) [both[2 * k], both[2 * k + 1]] = [left[k], right[k]];
      this.recording.push(both);
      if (this.recording.length >= 64) this.give();
    }
    if (++this.busy % 64 === 0) this.port.postMessage({ voices: this.voices.filter((voice) => voice.on).length });
    return true;
  }
}

registerProcessor("hits", Hits);
