// OSC 1.0 as ftrace-live sends it: a packet's bytes → messages, and a message → bytes.

const utf8 = new TextDecoder();
const bytesOf = new TextEncoder();
const NTP_TO_UNIX_S = 2208988800;

/** A timetag's two words as ms since 1970. */
function milliseconds(seconds, fraction) {
  return (seconds - NTP_TO_UNIX_S) * 1000 + (fraction / 4294967296) * 1000;
}

/** Every message in a packet: `each(address, tags, args, ms)`; `ms` is the bundle's time, or null. */
export function read(buffer, each) {
  const view = new DataView(buffer);
  if (buffer.byteLength >= 16 && view.getUint32(0) === 0x2362756e) {
    const ms = milliseconds(view.getUint32(8), view.getUint32(12));
    let at = 16;
    while (at + 4 <= buffer.byteLength) {
      const size = view.getUint32(at);
      at += 4;
      if (at + size > buffer.byteLength) return;
      message(view, at, at + size, ms, each);
      at += size;
    }
  } else {
    message(view, 0, buffer.byteLength, null, each);
  }
}

function message(view, start, end, ms, each) {
  let at = start;
  const text = () => {
    let stop = at;
    while (stop < end && view.getUint8(stop) !== 0) stop++;
    const string = utf8.decode(new Uint8Array(view.buffer, view.byteOffset + at, stop - at));
    at += (stop - at + 4) & ~3;
    return string;
  };
  const one = (tag) => {
    switch (tag) {
      case "i": return view.getInt32((at += 4) - 4);
      case "f": return view.getFloat32((at += 4) - 4);
      case "d": return view.getFloat64((at += 8) - 8);
      case "h": {
        const number = view.getBigInt64((at += 8) - 8);
        // Exact as a number up to 2^53, as a BigInt beyond.
        return BigInt(Number(number)) === number ? Number(number) : number;
      }
      case "t": {
        at += 8;
        return milliseconds(view.getUint32(at - 8), view.getUint32(at - 4));
      }
      case "s": case "S": return text();
      case "b": {
        const size = view.getUint32(at);
        const bytes = new Uint8Array(view.buffer, view.byteOffset + at + 4, size).slice();
        at += 4 + ((size + 3) & ~3);
        return bytes;
      }
      case "T": return true;
      case "F": return false;
      default: return null;
    }
  };
  try {
    const address = text();
    const tags = at < end ? text() : ",";
    const args = [];
    let list = args;
    for (const tag of tags.slice(1)) {
      if (tag === "[") args.push((list = []));
      else if (tag === "]") list = args;
      else list.push(one(tag));
    }
    each(address, tags.slice(1), args, ms);
  } catch (error) {
    // A truncated message is an error.
    if (!(error instanceof RangeError)) throw error;
  }
}

/** A message's bytes; an argument is a float or a string. */
export function write(address, ...args) {
  const string = (text) => {
    const bytes = bytesOf.encode(text);
    const padded = new Uint8Array((bytes.length + 4) & ~3);
    padded.set(bytes);
    return padded;
  };
  const float = (number) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, number);
    return bytes;
  };
  const tags = args.map((argument) => (typeof argument === "string" ? "s" : "f")).join("");
  const values = args.map((argument) => (typeof argument === "string" ? string(argument) : float(argument)));
  const parts = [string(address), string(`,${tags}`), ...values];
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (out.set(part, at), at + part.length), 0);
  return out;
}
