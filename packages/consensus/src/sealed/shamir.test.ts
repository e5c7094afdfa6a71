import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { divide, multiply } from './gf256.ts'
import { interpolate, splitKey } from './shamir.ts'

/** Multiplication in the field as its definition has it. */
function product(a: number, b: number): number {
  let sum = 0
  for (let bit = 0; bit < 8; bit++) if ((b >>> bit) & 1) sum ^= a << bit
  for (let bit = 15; bit >= 8; bit--) if ((sum >>> bit) & 1) sum ^= 0x11b << (bit - 8)
  return sum
}

describe('multiply()', () => {
  it('is the multiplication of polynomials modulo 11B, and divide() undoes it', () => {
    for (let a = 0; a < 256; a++) {
      for (let b = 0; b < 256; b++) {
        assert.equal(multiply(a, b), product(a, b))
        if (b !== 0) assert.equal(divide(multiply(a, b), b), a)
      }
    }
  })
})

describe('splitKey()', () => {
  const cases = fc.tuple(fc.integer({ min: 1, max: 31 }), fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat())

  it('makes shares of which any w give the key and every other share', () => {
    fc.assert(
      fc.property(cases, ([n, key, seed]) => {
        const threshold = Math.floor((n - 1) / 3) + 1
        const random = Uint8Array.from({ length: (threshold - 1) * 32 }, (_, i) => (seed >>> (i % 7)) * 31 + i * 7)
        const shares = splitKey(key, random, { n, threshold })
        const chosen = shares
          .map((bytes, node) => ({ node, bytes }))
          .sort((a, b) => ((a.node * 7 + seed) % 31) - ((b.node * 7 + seed) % 31))
          .slice(0, threshold)
        assert.deepEqual(interpolate(chosen, 0), key)
        for (const [node, share] of shares.entries()) assert.deepEqual(interpolate(chosen, node + 1), share)
      }),
    )
  })

  it('leaves every key possible to whoever has one share too few', () => {
    // One byte, n = 4, w = 2: for the share that one node has, each key is reached by exactly one coefficient.
    const seen = new Set<number>()
    for (let key = 0; key < 256; key++) {
      for (let coefficient = 0; coefficient < 256; coefficient++) {
        const [, , share] = splitKey(Uint8Array.of(key), Uint8Array.of(coefficient), { n: 4, threshold: 2 })
        if (share?.[0] === 99) seen.add(key)
      }
    }
    assert.equal(seen.size, 256)
  })
})
