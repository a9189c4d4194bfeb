// The audio context, the worklet, volume, scope and recording. The sound itself is made in voices.js.

/** How long after its time a hit sounds, ms: so that what comes a little late is not out of step. */
export const LATENCY = 120;
/** The longest recording, s: about 100 MB. */
const LONGEST = 600;

export class Sound {
  constructor() {
    this.context = null;
    this.volume = 0.7;
    this.voices = 0;
    this.pending = [];
    this.recording = null;
  }

  get on() {
    return this.context?.state === "running";
  }

  async start() {
    if (!this.context) {
      const context = new AudioContext({ latencyHint: "interactive" });
      await context.audioWorklet.addModule("voices.js");
      const recipes = await (await fetch("recipes.json")).json();
      this.node = new AudioWorkletNode(context, "hits", { numberOfInputs: 0, outputChannelCount: [2], processorOptions: { recipes } });
      this.gain = new GainNode(context, { gain: this.volume ** 2 });
      this.analyser = new AnalyserNode(context, { fftSize: 2048, smoothingTimeConstant: 0.6 });
      this.node.connect(this.gain).connect(this.analyser).connect(context.destination);
      this.node.port.onmessage = ({ data }) => {
        if (data.voices !== undefined) this.voices = data.voices;
        if (data.samples && this.recording) this.recording.push(...data.samples);
        if (data.recorded) this.recorded?.();
      };
      this.context = context;
    }
    await this.context.resume();
  }

  async stop() {
    this.clear();
    await this.context?.suspend();
  }

  setVolume(volume) {
    this.volume = volume;
    this.gain?.gain.setTargetAtTime(volume ** 2, this.context.currentTime, 0.02);
  }

  /** Plays a hit `inMs` ms from now. */
  play(hit, inMs) {
    if (!this.on || inMs < -500) return;
    hit.when = this.context.currentTime + Math.max(0, inMs) / 1000;
    this.pending.push(hit);
  }

  /** Hands over what was played since the last call. */
  flush() {
    if (this.pending.length) {
      this.node.port.postMessage({ hits: this.pending });
      this.pending = [];
    }
  }

  /** Ends the textures of these events, and forgets their hits that are to come. */
  mute(events) {
    this.pending = this.pending.filter((hit) => !events.includes(hit.event));
    this.node?.port.postMessage({ mute: events });
  }

  clear() {
    this.pending = [];
    this.node?.port.postMessage({ clear: true });
  }

  /** The root of the mean square of what is heard, 0 to 1. */
  level() {
    if (!this.analyser) return 0;
    const samples = new Float32Array(this.analyser.fftSize);
    this.analyser.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
  }

  record() {
    this.recording = [];
    this.node.port.postMessage({ record: true });
  }

  recordedSeconds() {
    return this.recording ? (this.recording.length * 128) / this.context.sampleRate : 0;
  }

  get recordingFull() {
    return this.recordedSeconds() >= LONGEST;
  }

  /** Ends the recording: a WAV file of 16 bits. */
  async save() {
    await new Promise((done) => {
      this.recorded = done;
      this.node.port.postMessage({ record: false });
    });
    const parts = this.recording;
    this.recording = null;
    const count = parts.reduce((sum, part) => sum + part.length, 0);
    const wav = new DataView(new ArrayBuffer(44 + 2 * count));
    const text = (at, word) => [...word].forEach((letter, k) => wav.setUint8(at + k, letter.charCodeAt(0)));
    const rate = this.context.sampleRate;
    text(0, "RIFF");
    wav.setUint32(4, 36 + 2 * count, true);
    text(8, "WAVEfmt ");
    wav.setUint32(16, 16, true);
    wav.setUint16(20, 1, true);
    wav.setUint16(22, 2, true);
    wav.setUint32(24, rate, true);
    wav.setUint32(28, 4 * rate, true);
    wav.setUint16(32, 4, true);
    wav.setUint16(34, 16, true);
    text(36, "data");
    wav.setUint32(40, 2 * count, true);
    let at = 44;
    for (const part of parts) {
      for (const sample of part) {
        wav.setInt16(at, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true);
        at += 2;
      }
    }
    return new Blob([wav], { type: "audio/wav" });
  }
}
