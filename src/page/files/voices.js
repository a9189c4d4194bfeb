// The voices: an AudioWorklet that plays hits at their times. /ftrace/hit defines a hit, and recipes.json (src/sound/recipe.rs)
// defines each timbre. A voice is that of src/sound/voice.rs, step by step, so that the page and `render` sound the same, except
// for a small room that only the page adds.

const VOICES = 64;
const LOOKAHEAD = 240;
const CEILING = 0.794; // −2 dBFS
/** The mix before the limiter: what a capture is brought to −23 LUFS by lies between 0.4 and 4. */
const MIX = 1;

const TEXTURE = 2;
/** How long a texture takes to a new value, s, and after which time it ends when nothing comes of it. */
const GLIDE = 0.1, ABANDONED = 0.5;
/** The shortest sound, s. */
const SHORTEST = 0.008;

const SIZE = 4096;
const SINE = Float32Array.from({ length: SIZE + 1 }, (_, k) => Math.sin((2 * Math.PI * k) / SIZE));
/** The sine of a phase in periods. */
function sine(phase) {
  const place = (phase - Math.floor(phase)) * SIZE, index = place | 0;
  return SINE[index] + (place - index) * (SINE[index + 1] - SINE[index]);
}
/** Periods a sample. */
const frequency = (note) => (440 * 2 ** ((note - 69) / 12)) / sampleRate;

class Voice {
  constructor() {
    this.on = false;
    this.key = "";
  }

  /** `seed`: where its noise begins. */
  start(hit, recipe, seed) {
    const texture = hit.form === TEXTURE;
    this.length = Math.max(SHORTEST, hit.length / 1000) * sampleRate;
    Object.assign(this, {
      on: true, key: texture ? hit.event : "", form: hit.form, recipe, phase: 0, bender: 0, frequency: frequency(hit.note), age: 0,
      level: texture ? 0 : hit.level, slope: 0, gliding: 0, unheard: 0, ending: false, falling: 1, bending: 1,
      fall: Math.exp(-4.6 / this.length), bendFall: Math.exp((-4.6 * recipe.dulls) / this.length),
      random: seed | 1, band0: 0, band1: 0, shimmer: 0.7, shimmerAim: 0, shimmerLeft: 0,
    });
    this.aim = this.frequency;
    this.place(hit);
    this.tune();
    if (texture) this.set(hit);
  }

  place(hit) {
    this.brightness = hit.brightness;
    const angle = ((Math.max(-1, Math.min(1, hit.pan)) + 1) * Math.PI) / 4;
    this.left = Math.cos(angle);
    this.right = Math.sin(angle);
  }

  /** What a texture's next hit changes. */
  set(hit) {
    this.place(hit);
    this.aim = frequency(hit.note);
    this.gliding = Math.round(GLIDE * sampleRate);
    this.slope = (hit.level - this.level) / this.gliding;
    this.unheard = 0;
    this.ending = hit.level <= 0;
  }

  end() {
    this.gliding = Math.round(GLIDE * sampleRate);
    this.slope = -this.level / this.gliding;
    this.ending = true;
  }

  /** The band of the noise: Andrew Simper's filter, brought to the power of a sine. */
  tune() {
    const { recipe } = this;
    const narrow = this.form === TEXTURE ? recipe.narrow * (1.3 - this.brightness) : recipe.narrow;
    const x = Math.PI * Math.min(0.2, this.frequency);
    const g = x * (1 + (x * x) / 3), k = 1 / narrow;
    this.a1 = 1 / (1 + g * (g + k));
    this.a2 = g * this.a1;
    this.a3 = (k * 0.5) / Math.sqrt(((Math.PI / 3) * this.frequency) / narrow);
  }

  /** From −1 to 1: xorshift32. */
  white() {
    let random = this.random;
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    this.random = random;
    return (random >>> 8) * (2 / 2 ** 24) - 1;
  }

  noise() {
    const { a1, a2 } = this;
    const v3 = this.white() - this.band1;
    const v1 = a1 * this.band0 + a2 * v3;
    const v2 = this.band1 + a2 * this.band0 + ((a2 * a2) / a1) * v3;
    this.band0 = 2 * v1 - this.band0;
    this.band1 = 2 * v2 - this.band1;
    return v1 * this.a3;
  }

  /** Loudness now, to find the voice that is missed least. */
  weight() {
    return this.form === TEXTURE ? 1 + this.level : this.level * Math.max(0, 1 - this.age / this.length);
  }

  play(left, right, from, to) {
    if (this.form === TEXTURE) this.playTexture(left, right, from, to);
    else this.playNote(left, right, from, to);
  }

  playNote(left, right, from, to) {
    const { tone, noise, ratio, drop } = this.recipe;
    const bend = this.recipe.bend * (0.3 + 1.4 * this.brightness);
    const attack = Math.min(this.recipe.attack * sampleRate, this.length / 3);
    for (let k = from; k < to; k++) {
      if (this.age >= this.length) {
        this.on = false;
        return;
      }
      let rise = Math.min(1, this.age / attack);
      rise = rise * rise * (3 - 2 * rise);
      const envelope = rise * this.falling * (1 - this.age / this.length) * this.level;
      const frequency = drop > 0 ? this.frequency * (1 + drop * this.bending ** 4) : this.frequency;
      let sound = tone * sine(this.phase + bend * this.bending * sine(this.bender));
      if (noise > 0) sound += noise * this.noise();
      sound *= envelope;
      left[k] += sound * this.left;
      right[k] += sound * this.right;
      this.phase += frequency;
      this.phase -= Math.floor(this.phase);
      this.bender += frequency * ratio;
      this.bender -= Math.floor(this.bender);
      this.falling *= this.fall;
      this.bending *= this.bendFall;
      this.age++;
    }
  }

  playTexture(left, right, from, to) {
    // Textures are mostly noise, whatever their timbre: many tones at once would sound like an organ.
    const tone = 0.55 * this.recipe.tone, noise = 0.6 + 0.2 * this.recipe.noise, { ratio } = this.recipe;
    const bend = this.recipe.bend * (0.2 + 0.8 * this.brightness);
    this.frequency += (this.aim - this.frequency) * Math.min(1, (to - from) / (0.03 * sampleRate));
    this.tune();
    for (let k = from; k < to; k++) {
      if (this.gliding > 0) {
        this.level += this.slope;
        this.gliding--;
      } else if (this.ending) {
        this.on = false;
        return;
      } else if (++this.unheard >= ABANDONED * sampleRate) {
        this.end();
      }
      if (this.shimmerLeft === 0) {
        // The denser, the faster the flicker.
        this.shimmerLeft = Math.floor(sampleRate / (6 + 30 * this.brightness));
        this.shimmerAim = (0.65 + 0.35 * this.white() - this.shimmer) / this.shimmerLeft;
      }
      this.shimmerLeft--;
      this.shimmer += this.shimmerAim;
      let sound = tone * this.shimmer * sine(this.phase + bend * sine(this.bender)) + noise * this.noise();
      sound *= Math.max(0, this.level);
      left[k] += sound * this.left;
      right[k] += sound * this.right;
      this.phase += this.frequency;
      this.phase -= Math.floor(this.phase);
      this.bender += this.frequency * ratio;
      this.bender -= Math.floor(this.bender);
    }
    this.age += to - from;
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
    const { lines, at, damp } = this;
    const [a, b, c, d] = lines, half = 0.5 * 0.8;
    for (let k = 0; k < length; k++) {
      for (let n = 0; n < 4; n++) damp[n] += (lines[n][at[n]] - damp[n]) * 0.42;
      const p = damp[0], q = damp[1], r = damp[2], s = damp[3];
      a[at[0]] = half * (p + q + r + s) + left[k] * 0.5;
      b[at[1]] = half * (p - q + r - s) + right[k] * 0.5;
      c[at[2]] = half * (p + q - r - s);
      d[at[3]] = half * (p - q - r + s);
      for (let n = 0; n < 4; n++) at[n] = at[n] + 1 === lines[n].length ? 0 : at[n] + 1;
      left[k] += 0.25 * (p + r);
      right[k] += 0.25 * (q + s);
    }
  }
}

/** Keeps every sample below the ceiling without a click: src/sound/limiter.rs. */
class Limiter {
  constructor() {
    this.delayed = [new Float32Array(LOOKAHEAD), new Float32Array(LOOKAHEAD)];
    this.allowed = new Float32Array(LOOKAHEAD).fill(1);
    this.sum = LOOKAHEAD;
    this.at = 0;
    this.count = 0;
    this.released = 1;
    // Candidates for the minimum of the last gains, as (number, gain), ascending.
    this.least = [];
  }

  play(left, right, length) {
    const release = 1 / (0.1 * sampleRate);
    for (let k = 0; k < length; k++) {
      const peak = Math.max(Math.abs(left[k]), Math.abs(right[k]));
      const gain = peak > CEILING ? CEILING / peak : 1;
      const { least } = this;
      while (least.length && least[least.length - 1][1] >= gain) least.pop();
      least.push([this.count, gain]);
      if (least[0][0] + LOOKAHEAD <= this.count) least.shift();
      this.count++;
      this.released = Math.min(least[0][1], this.released + (1 - this.released) * release);
      this.sum += this.released - this.allowed[this.at];
      this.allowed[this.at] = this.released;
      this.delayed[0][this.at] = left[k];
      this.delayed[1][this.at] = right[k];
      this.at = this.at + 1 === LOOKAHEAD ? 0 : this.at + 1;
      const mean = this.sum / LOOKAHEAD;
      const clip = (sample) => Math.max(-CEILING, Math.min(CEILING, sample * mean));
      left[k] = clip(this.delayed[0][this.at]);
      right[k] = clip(this.delayed[1][this.at]);
    }
  }
}

class Hits extends AudioWorkletProcessor {
  /** `recipes`: how each timbre is made. `dry`: without the room and the fade-in; `hits`: what is to be played at once; `seed`: of chance. */
  constructor({ processorOptions: { recipes, dry = false, hits = [], seed = Math.floor(Math.random() * 2 ** 32) } }) {
    super();
    this.recipes = recipes;
    this.dry = dry;
    this.seed = seed;
    this.begun = 0;
    this.voices = Array.from({ length: VOICES }, () => new Voice());
    this.queue = [];
    this.room = new Room();
    this.limiter = new Limiter();
    this.fade = 0;
    this.recording = null;
    this.busy = 0;
    this.port.onmessage = ({ data }) => this.told(data);
    this.told({ hits });
  }

  told(data) {
    if (data.hits) {
      for (const hit of data.hits) {
        // Nearly always at the end: they arrive in order of time.
        let at = this.queue.length;
        while (at > 0 && this.queue[at - 1].when > hit.when) at--;
        this.queue.splice(at, 0, hit);
      }
      if (this.queue.length > 4096) this.queue.splice(0, this.queue.length - 4096);
    }
    if (data.mute) {
      for (const voice of this.voices) if (voice.on && voice.form === TEXTURE && data.mute.includes(voice.key)) voice.end();
      this.queue = this.queue.filter((hit) => !data.mute.includes(hit.event));
    }
    if (data.clear) {
      this.queue = [];
      for (const voice of this.voices) if (voice.on && voice.form === TEXTURE) voice.end();
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
      if (hit.level <= 0) return undefined;
    }
    let voice = this.voices.find((candidate) => !candidate.on);
    voice ??= this.voices.reduce((least, candidate) => (candidate.weight() < least.weight() ? candidate : least));
    return voice.start(hit, this.recipes[hit.timbre] ?? this.recipes.at(-1), Math.imul(this.seed + ++this.begun, 0x9e3779b9));
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
    if (!this.dry) this.room.play(left, right, length);
    for (let k = 0; k < length; k++) {
      this.fade = this.dry ? 1 : Math.min(1, this.fade + 1 / sampleRate);
      const { fade } = this;
      const gain = MIX * (0.1 + 0.9 * fade * fade * (3 - 2 * fade));
      left[k] *= gain;
      right[k] *= gain;
    }
    this.limiter.play(left, right, length);
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
