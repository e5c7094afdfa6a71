/**
 * The field of 256 elements with the polynomial x^8 + x^4 + x^3 + x + 1 (that of AES), by tables of logarithms to the base 3. What
 * is computed with it here is no secret any more when it is computed, so the tables need not hide which entries are read;
 * splitting a key happens on the machine that has the key.
 */
const exponentials = new Uint8Array(510)
const logarithms = new Uint8Array(256)

for (let exponent = 0, value = 1; exponent < 255; exponent++) {
  exponentials[exponent] = value
  exponentials[exponent + 255] = value
  logarithms[value] = exponent
  // Times 3: the double, reduced, plus the value.
  value ^= (value << 1) ^ (value >= 128 ? 0x11b : 0)
}

export function multiply(a: number, b: number): number {
  if (a === 0 || b === 0) return 0
  return exponentials[(logarithms[a] as number) + (logarithms[b] as number)] as number
}

/** `b` is not 0. */
export function divide(a: number, b: number): number {
  if (a === 0) return 0
  return exponentials[(logarithms[a] as number) + 255 - (logarithms[b] as number)] as number
}
