// The lanes: draws the events, and finds the event at a point.
//
// One lane for each group, with one row for each event. Time goes from left to right and ends at the line near the right
// edge, where an event is heard. With prefers-reduced-motion only that line moves.

/** The time that is shown, ms. */
const SPAN = 12000;
/** What is kept for each lane, at most. */
const KEPT = 12000;
/** Hues of the groups that are known; others get one by their names. */
const HUES = {
  irq: 28, irq_vectors: 28, exceptions: 78, sched: 172, task: 188, syscalls: 245, raw_syscalls: 252, block: 345, scsi: 352, nvme: 352, net: 300,
  sock: 312, tcp: 306, skb: 318, kmem: 118, vmscan: 128, timer: 60, hrtimer: 60, ext4: 212, jbd2: 222, filemap: 200, writeback: 204, workqueue: 160, power: 95, signal: 8,
};

function hueOf(name) {
  if (name in HUES) return HUES[name];
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
  return hash % 360;
}

/** A group: what came of it. */
class Lane {
  constructor(group) {
    this.group = group;
    this.hue = hueOf(group);
    this.rows = new Map();
    this.items = [];
    this.bands = new Map();
    this.muted = false;
    this.solo = false;
    this.count = 0;
    this.rate = 0;
  }

  row(event) {
    let row = this.rows.get(event);
    if (row === undefined) this.rows.set(event, (row = this.rows.size));
    return row;
  }
}

export class Lanes {
  constructor(canvas, stage) {
    this.canvas = canvas;
    this.stage = stage;
    this.lanes = new Map();
    this.pen = canvas.getContext("2d", { alpha: false });
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.selected = null;
    this.changed = () => {};
    this.drawn = 0;
    new ResizeObserver(() => this.layout()).observe(stage);
  }

  lane(group) {
    let lane = this.lanes.get(group);
    if (!lane) {
      this.lanes.set(group, (lane = new Lane(group)));
      this.layout();
    }
    return lane;
  }

  /** Whether a group is heard. */
  hears(lane) {
    const solo = [...this.lanes.values()].some((other) => other.solo);
    return !lane.muted && (!solo || lane.solo);
  }

  /** A message: drawn at its time. */
  add(item) {
    const lane = this.lane(item.group);
    lane.row(item.event);
    lane.count++;
    item.lane = lane;
    const items = lane.items;
    let at = items.length;
    while (at > 0 && items[at - 1].ms > item.ms) at--;
    at === items.length ? items.push(item) : items.splice(at, 0, item);
    if (items.length > KEPT) items.splice(0, KEPT / 4);
  }

  /** A hit: the message it belongs to is drawn as what is heard; where that was thinned, the hit stands alone. */
  hit(hit) {
    const lane = this.lane(hit.group);
    if (hit.form === 2) {
      let band = lane.bands.get(hit.event);
      if (!band) lane.bands.set(hit.event, (band = []));
      lane.row(hit.name);
      band.push(hit);
      if (band.length > 1500) band.splice(0, 500);
      return;
    }
    const items = lane.items;
    for (let k = items.length - 1; k >= 0 && items[k].ms >= hit.ms - 1.5; k--) {
      if (items[k].event === hit.name && items[k].ms <= hit.ms + 1.5 && !items[k].hit) {
        items[k].hit = hit;
        return;
      }
    }
    this.add({ group: hit.group, event: hit.name, ms: hit.ms, hit });
    lane.count--;
  }

  /** Moves all that is there to later, ms: it was stood still for that long. */
  shift(ms) {
    for (const lane of this.lanes.values()) {
      for (const item of lane.items) item.ms += ms;
      for (const band of lane.bands.values()) for (const hit of band) hit.ms += ms;
    }
  }

  clear() {
    for (const lane of this.lanes.values()) {
      lane.items = [];
      lane.bands.clear();
    }
    this.selected = null;
  }

  /** Sizes, and the colours of the page. */
  layout() {
    const scale = Math.min(devicePixelRatio || 1, 2.5);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    this.colours = { ground: colour("--ground"), line: colour("--line"), soft: colour("--soft"), text: colour("--text"), accent: colour("--accent") };
    this.narrow = matchMedia("(max-width: 900px)").matches;
    const em = parseFloat(style.fontSize);
    const count = Math.max(1, this.lanes.size);
    this.width = this.stage.clientWidth;
    const least = this.narrow ? 5.4 * em : 4.6 * em;
    this.laneHeight = Math.max(least, Math.min(this.stage.clientHeight / count, 15 * em));
    this.height = Math.max(this.stage.clientHeight, this.laneHeight * count);
    // If there is room, the names of the events get their own column.
    this.names = 11.8 * em;
    this.left = this.narrow ? 0 : (this.width > 95 * em ? 22 : 11.5) * em;
    this.now = this.width - Math.max(18, this.width * 0.03);
    this.em = em;
    this.font = `${0.68 * em}px ${style.fontFamily}`;
    // If there is little room for time, notes are smaller.
    this.dot = em * (this.narrow ? 0.66 : 1);
    const canvas = this.canvas;
    canvas.style.width = `${this.width}px`;
    canvas.style.height = `${this.height}px`;
    const [width, height] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    this.scale = scale;
    const [tone, depth] = [colour("--tone"), colour("--depth")];
    let top = 0;
    for (const lane of this.lanes.values()) {
      lane.top = top;
      top += this.laneHeight;
      lane.colour = `oklch(${tone} ${depth} ${lane.hue})`;
    }
    this.changed();
  }

  y(lane, event) {
    const row = lane.row(event), rows = Math.max(lane.rows.size, 2);
    const above = this.narrow ? 2.1 * this.em : 0.9 * this.em, below = 0.9 * this.em;
    return lane.top + above + ((row + 0.5) / rows) * (this.laneHeight - above - below);
  }

  /** Where a time is drawn: relative to the line, or with reduced motion at a place of its own. */
  x(ms) {
    const width = this.now - this.left;
    if (!this.sweeping) return this.now - ((this.clock - ms) / SPAN) * width;
    return this.left + ((((ms / SPAN) % 1) + 1) % 1) * width;
  }

  /** Draws; `clock` is the time that is heard now, ms. */
  draw(clock) {
    this.clock = clock;
    this.sweeping = this.still.matches;
    // The sweep is drawn four times a second, without visible motion.
    if (this.sweeping && clock - this.drawn < 250 && clock >= this.drawn) return;
    this.drawn = clock;
    const { pen, colours, em } = this;
    pen.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    pen.globalAlpha = 1;
    pen.fillStyle = colours.ground;
    pen.fillRect(0, 0, this.width, this.height);
    const oldest = clock - SPAN;
    // The seconds.
    pen.fillStyle = colours.line;
    pen.globalAlpha = 0.55;
    for (let ms = Math.ceil(oldest / 1000) * 1000; ms <= clock; ms += 1000) pen.fillRect(Math.round(this.x(ms)), 0, 1, this.height);
    for (const lane of this.lanes.values()) {
      pen.globalAlpha = 1;
      pen.fillStyle = colours.line;
      if (lane.top > 0) pen.fillRect(0, Math.round(lane.top), this.width, 1);
      const heard = this.hears(lane) ? 1 : 0.28;
      this.drawNames(lane, heard);
      this.drawBands(lane, clock, oldest, heard);
      this.drawItems(lane, clock, oldest, heard);
    }
    // The line where events are heard.
    pen.globalAlpha = 0.9;
    pen.fillStyle = colours.soft;
    const line = this.sweeping ? this.x(clock) : this.now;
    pen.fillRect(Math.round(line), 0, 1, this.height);
    if (this.selected) this.drawSelected(em);
  }

  /** The names of the events, faintly, where the rows leave room for them. */
  drawNames(lane, heard) {
    const { pen, em } = this;
    if (this.narrow || this.laneHeight / Math.max(lane.rows.size, 2) < 0.95 * em) return;
    pen.font = this.font;
    pen.fillStyle = this.colours.soft;
    pen.globalAlpha = 0.55 * heard;
    pen.textBaseline = "middle";
    for (const event of lane.rows.keys()) pen.fillText(event, this.names, this.y(lane, event), 15 * em);
  }

  drawBands(lane, clock, oldest, heard) {
    const pen = this.pen;
    pen.fillStyle = lane.colour;
    for (const band of lane.bands.values()) {
      while (band.length && band[0].ms < oldest - 500) band.shift();
      const y = band.length ? this.y(lane, band[0].name) : 0;
      for (let k = 0; k < band.length; k++) {
        const { ms, level, brightness } = band[k];
        if (ms > clock || level === 0) continue;
        const until = Math.min(clock, band[k + 1] && band[k + 1].ms - ms < 400 ? band[k + 1].ms : ms + 100);
        const [x, end] = [this.x(ms), this.x(until)];
        if (end < x) continue;
        const half = 2 + Math.sqrt(level) * this.em * 0.9;
        pen.globalAlpha = heard * (0.16 + 0.3 * brightness);
        pen.fillRect(x, y - half, end - x + 0.6, 2 * half);
        pen.globalAlpha = heard * 0.8;
        pen.fillRect(x, y - 0.75, end - x + 0.6, 1.5);
      }
    }
  }

  drawItems(lane, clock, oldest, heard) {
    const { pen, em } = this;
    const items = lane.items;
    let first = 0;
    while (first < items.length && items[first].ms < oldest) first++;
    // From time to time, drop what is out of sight.
    if (first > 500) {
      items.splice(0, first);
      first = 0;
    }
    const lastX = new Map();
    pen.fillStyle = lane.colour;
    for (let k = first; k < items.length; k++) {
      const item = items[k];
      if (item.ms > clock) break;
      const x = this.x(item.ms), y = this.y(lane, item.event);
      if (!this.narrow && x < this.left - 2) continue;
      const age = (clock - item.ms) / SPAN;
      if (!item.hit) {
        // One of several at the same place is enough.
        if (Math.abs(x - (lastX.get(item.event) ?? -9)) < 1) continue;
        lastX.set(item.event, x);
        pen.globalAlpha = heard * (0.62 - 0.4 * age);
        pen.fillRect(x - 1, y - 3.5, 2, 7);
        continue;
      }
      const { level, length, form } = item.hit;
      const radius = this.dot * (0.16 + 0.62 * Math.sqrt(level));
      pen.globalAlpha = heard * (0.9 - 0.55 * age);
      if (form === 0) {
        // A note has a tail as long as its sound, and a ring while it is new.
        const tail = Math.min((length / SPAN) * (this.now - this.left), (this.sweeping ? this.x(clock) : this.now) - x);
        if (tail > radius) {
          pen.globalAlpha *= 0.35;
          pen.fillRect(x, y - 1, tail, 2);
          pen.globalAlpha = heard * (0.9 - 0.55 * age);
        }
        pen.beginPath();
        pen.arc(x, y, radius, 0, 6.2832);
        pen.fill();
        const fresh = (clock - item.ms) / 700;
        if (fresh < 1 && !this.sweeping) {
          pen.globalAlpha = heard * 0.55 * (1 - fresh) ** 2;
          pen.lineWidth = 1.5;
          pen.strokeStyle = lane.colour;
          pen.beginPath();
          pen.arc(x, y, radius + fresh * em * 1.7, 0, 6.2832);
          pen.stroke();
        }
      } else {
        const half = Math.max(2, radius * 0.7);
        pen.fillRect(x - half / 2, y - half * 1.6, half, half * 3.2);
      }
    }
  }

  drawSelected(em) {
    const item = this.selected, pen = this.pen;
    if (item.ms < this.clock - SPAN) return;
    pen.globalAlpha = 1;
    pen.strokeStyle = this.colours.text;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.arc(this.x(item.ms), this.y(item.lane, item.event), em * 0.95, 0, 6.2832);
    pen.stroke();
  }

  laneAt(y) {
    return [...this.lanes.values()].find((lane) => y >= lane.top && y < lane.top + this.laneHeight);
  }

  /** The item nearest to a point of the canvas, if one is near. */
  at(x, y) {
    const lane = this.laneAt(y);
    if (!lane || this.clock === undefined) return null;
    let [best, least] = [null, 18 * 18];
    for (const item of lane.items) {
      if (item.ms > this.clock || item.ms < this.clock - SPAN) continue;
      const dx = this.x(item.ms) - x, dy = this.y(lane, item.event) - y;
      // Prefer a message to a hit whose message was thinned out.
      const far = dx * dx + dy * dy * 0.6 + (item.args ? 0 : 30);
      if (far < least) [best, least] = [item, far];
    }
    return best;
  }

  /** The item that the arrow keys lead to. */
  step(dx, dy) {
    const lanes = [...this.lanes.values()].filter((lane) => lane.items.some((item) => item.args));
    if (!lanes.length) return null;
    const from = this.selected;
    let lane = from?.lane ?? lanes[0];
    if (from && dy) lane = lanes[Math.max(0, Math.min(lanes.length - 1, lanes.indexOf(lane) + dy))] ?? lane;
    const items = lane.items.filter((item) => item.args && item.ms <= this.clock);
    if (!items.length) return null;
    if (!from) return items[items.length - 1];
    if (dx) return items[Math.max(0, Math.min(items.length - 1, items.indexOf(from) + dx))];
    return items.reduce((near, item) => (Math.abs(item.ms - from.ms) < Math.abs(near.ms - from.ms) ? item : near));
  }
}
