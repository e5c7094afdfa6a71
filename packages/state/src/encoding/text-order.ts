/**
 * The order of strings that decides anything in the machine: that of their UTF-8 bytes. JavaScript compares UTF-16 code
 * units, which places U+10000 and above before U+E000; another language replaying the log would differ.
 */

/** Negative, zero or positive, as `a` comes before, with or after `b`. */
export function compareText(a: string, b: string): number {
  const length = a.length < b.length ? a.length : b.length
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

/** Surrogates (D800..DFFF) stand for what comes after FFFF. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}
