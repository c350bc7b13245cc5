// Numbers, sizes and times for people.

const SECTOR = 512;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export const number = (value) => value.toLocaleString("en-GB");

export const counted = (value, one, many = `${one}s`) =>
  `${number(value)} ${value === 1 ? one : many}`;

export function bytes(value) {
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

export const sectors = (value) => bytes(value * SECTOR);

export const percent = (value) => `${value >= 10 || value === 0 ? Math.round(value) : value.toFixed(1)} %`;

export const time = (seconds) =>
  new Date(seconds * 1000).toISOString().replace("T", " ").slice(0, 19) + " UTC";

// How long, roughly: "3 days".
export function duration(seconds) {
  for (const [size, name] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    if (seconds >= size) return counted(Math.round(seconds / size), name);
  }
  return counted(Math.max(0, Math.round(seconds)), "second");
}
