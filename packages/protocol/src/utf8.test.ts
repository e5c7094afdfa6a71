import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hold } from '../../../testing/catalogue/src/hold.ts'
import { stringProblem, utf8Decode, utf8Encode, utf8Length, utf8Problem } from './utf8.ts'

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What the platform says of the same bytes. */
function expected(bytes: Uint8Array): { readonly text?: string; readonly problem: 'illFormed' | 'nul' | undefined } {
  let text: string
  try {
    text = strict.decode(bytes)
  } catch {
    return { problem: 'illFormed' }
  }
  return { text, problem: text.includes('\0') ? 'nul' : undefined }
}

function agrees(bytes: Uint8Array): void {
  const { text, problem } = expected(bytes)
  const ours = utf8Problem(bytes, 0, bytes.length)
  // Where both are wrong the first one met is named.
  if (problem === 'illFormed' && bytes.includes(0)) assert.notEqual(ours, undefined)
  else assert.equal(ours, problem)
  if (text !== undefined) assert.equal(utf8Decode(bytes, 0, bytes.length), text)
}

test('utf8Problem() and utf8Decode() agree with the platform on every sequence of one and two bytes [MQTT-1.5.4-1]', () => {
  for (let a = 0; a < 256; a++) {
    agrees(Uint8Array.of(a))
    for (let b = 0; b < 256; b++) agrees(Uint8Array.of(a, b))
  }
})

test('utf8Problem() agrees with the platform at every border of three and four bytes [MQTT-1.5.4-1]', () => {
  const second = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff]
  const later = [0x7f, 0x80, 0xbf, 0xc0]
  for (let a = 0xe0; a < 256; a++) {
    for (const b of second) {
      for (const c of later) {
        agrees(Uint8Array.of(a, b, c))
        for (const d of later) agrees(Uint8Array.of(a, b, c, d, 0x61))
      }
    }
  }
})

test('utf8Problem() and utf8Decode() agree with the platform on random bytes', () => {
  const nearly = fc.constantFrom(0x61, 0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xa0, 0x9f, 0x90, 0x8f)
  hold(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.array(nearly).map((b) => Uint8Array.from(b)),
      ),
      agrees,
    ),
    3000,
  )
})

test('utf8Decode() gives back strings of every length, whole and from the middle of a buffer', () => {
  const anyText = fc.string({ unit: 'binary', maxLength: 400 })
  hold(
    fc.property(anyText, fc.nat(5), (text, before) => {
      const bytes = utf8Encode(text)
      assert.deepEqual(bytes, new TextEncoder().encode(text))
      assert.equal(utf8Length(text), bytes.length)
      const buf = new Uint8Array(bytes.length + before + 3).fill(0xff)
      buf.set(bytes, before)
      assert.equal(utf8Decode(buf, before, before + bytes.length), text)
    }),
    1000,
  )
  for (const length of [0, 1, 127, 128, 129, 255, 256, 257, 65_535]) {
    const ascii = 'abcdefg'.repeat(10_000).slice(0, length)
    assert.equal(utf8Decode(utf8Encode(ascii), 0, length), ascii)
  }
})

test('utf8Decode() never throws, and puts U+FFFD for each ill-formed byte', () => {
  assert.equal(utf8Decode(Uint8Array.of(0x61, 0xff, 0xc0, 0x62), 0, 4), 'a\ufffd\ufffdb')
  const continuation = new Uint8Array(1000).fill(0x80)
  assert.equal(utf8Decode(continuation, 0, 1000), '\ufffd'.repeat(1000))
})

test('utf8Problem() names U+0000 [MQTT-1.5.4-2] and takes U+FEFF as a character [MQTT-1.5.4-3]', () => {
  assert.equal(utf8Problem(Uint8Array.of(0x61, 0), 0, 2), 'nul')
  assert.equal(utf8Problem(Uint8Array.of(0xef, 0xbb, 0xbf), 0, 3), undefined)
  assert.equal(utf8Decode(Uint8Array.of(0xef, 0xbb, 0xbf), 0, 3), '\ufeff')
})

test('stringProblem() finds lone surrogates and U+0000', () => {
  assert.equal(stringProblem('a😀'), undefined)
  assert.equal(stringProblem('\ud800'), 'illFormed')
  assert.equal(stringProblem('\udc00\ud800'), 'illFormed')
  assert.equal(stringProblem('\ud83da'), 'illFormed')
  assert.equal(stringProblem('a\0'), 'nul')
  hold(
    fc.property(fc.string({ unit: 'binary' }), (text) =>
      assert.equal(stringProblem(text), text.includes('\0') ? 'nul' : undefined),
    ),
    300,
  )
})

test('utf8Encode() writes U+FFFD for a lone surrogate, as the platform does', () => {
  for (const text of ['\ud800', 'a\udc00b', '\ud83d\ud83d\ude00', '\ud83d']) {
    assert.deepEqual(utf8Encode(text), new TextEncoder().encode(text))
    assert.equal(utf8Length(text), utf8Encode(text).length)
  }
})
