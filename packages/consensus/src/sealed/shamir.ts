/**
 * Sharing a key among the nodes (Shamir 1979, over GF(256), each byte on its own): any `threshold` shares give the key, fewer say
 * nothing about it. The share of node j is the value at x = j + 1; the key is the value at 0.
 */
import { divide, multiply } from './gf256.ts'

export interface Share {
  /** Index of the node. */
  readonly node: number
  /** As long as the key. */
  readonly bytes: Uint8Array
}

/**
 * Shares of all n nodes. `random` are (threshold - 1) · key.length bytes that nobody can guess and that serve for nothing else:
 * the coefficients above the key.
 */
export function splitKey(
  key: Uint8Array,
  random: Uint8Array,
  { n, threshold }: { readonly n: number; readonly threshold: number },
): Uint8Array[] {
  return Array.from({ length: n }, (_, node) =>
    key.map((constant, byte) => {
      let value = 0
      for (let degree = threshold - 1; degree >= 1; degree--) {
        value = multiply(value ^ (random[(degree - 1) * key.length + byte] as number), node + 1)
      }
      return value ^ constant
    }),
  )
}

/** The value at `x` of the polynomial through these shares of distinct nodes: x = 0 is the key, x = j + 1 the share of node j. */
export function interpolate(shares: readonly Share[], x: number): Uint8Array {
  const weights = shares.map(({ node }) => {
    let weight = 1
    for (const other of shares) {
      // In this field, minus is plus.
      if (other.node !== node) weight = divide(multiply(weight, x ^ (other.node + 1)), (node + 1) ^ (other.node + 1))
    }
    return weight
  })
  const length = shares[0]?.bytes.length ?? 0
  const value = new Uint8Array(length)
  for (const [i, { bytes }] of shares.entries()) {
    const weight = weights[i] as number
    for (let byte = 0; byte < length; byte++) {
      value[byte] = (value[byte] as number) ^ multiply(weight, bytes[byte] as number)
    }
  }
  return value
}
