/** A promise of section 18 that did not hold: the run ends with it, and the seed is reported. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

/** The run ends here, and no promise was broken: from here on the faults are not those that it was drawn for. */
export class Excused extends Error {
  override readonly name = 'Excused'
}

export function violated(what: string): never {
  throw new Violation(what)
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
