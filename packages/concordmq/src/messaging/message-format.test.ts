import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Message } from '@concordmq/client'
import { CommandError } from '../command-error.ts'
import { parseFormat } from './message-format.ts'

const at = new Date(2026, 10, 20, 17, 5, 9, 42)
const message: Message = {
  topic: 'hall/temperature',
  payload: Buffer.from('{"x":1}'),
  qos: 1,
  retain: true,
  dup: false,
  packetId: 12,
  properties: {
    contentType: 'text/plain',
    responseTopic: 'r',
    userProperties: [
      ['k', 'v'],
      ['k', 'w'],
    ],
  },
}

const formatted = (format: string, from = message) =>
  Buffer.from(parseFormat(format, { endOfLine: false })(from, at)).toString('utf8')

describe('parseFormat()', () => {
  for (const [format, output] of [
    ['%t %p', 'hall/temperature {"x":1}'],
    ['%q %r %l %m', '1 1 7 12'],
    ['%x %X', '7b2278223a317d 7B2278223A317D'],
    ['%C|%R|%P|%D|%S', 'text/plain|r|k:v k:w||'],
    ['[%10l][%-10l][%010l]', '[         7][7         ][0000000007]'],
    ['[%6.4t]', '[  hall]'],
    ['100%%', '100%'],
    ['\\t\\\\\\0', '\t\\\0'],
    ['@Y-@m-@d @H:@M:@S.@N @@', '2026-11-20 17:05:09.042000000 @'],
    ['@F @T', '2026-11-20 17:05:09'],
    ['no sequence', 'no sequence'],
    ['', ''],
  ] as const) {
    test(`prints "${format}"`, () => assert.equal(formatted(format), output))
  }

  test('prints JSON that can be read again, the payload as text or as it is', () => {
    const asText = JSON.parse(formatted('%j').replace('"k":"v",', ''))
    assert.deepEqual(
      { ...asText, tst: '' },
      {
        tst: '',
        topic: 'hall/temperature',
        qos: 1,
        retain: 1,
        payloadlen: 7,
        mid: 12,
        properties: { 'user-properties': { k: 'w' }, 'content-type': 'text/plain', 'response-topic': 'r' },
        payload: '{"x":1}',
      },
    )
    assert.match(asText.tst, /^2026-11-20T17:05:09\.042000[+-]\d{4}$/)
    assert.deepEqual(JSON.parse(formatted('%J')).payload, { x: 1 })
    assert.equal(JSON.parse(formatted('%j', { ...message, payload: new Uint8Array(0) })).payload, null)
  })

  test('gives the payload byte by byte, also where it is no text', () => {
    const payload = Uint8Array.of(0, 255, 128)
    assert.deepEqual([...parseFormat('%p', { endOfLine: true })({ ...message, payload }, at)], [0, 255, 128, 10])
  })

  for (const format of ['%', '%y', '%5p', '@', '@q', '\\', '\\q', '%.t']) {
    test(`refuses "${format}"`, () => {
      assert.throws(
        () => parseFormat(format, { endOfLine: true }),
        (error) => error instanceof CommandError && error.exitCode === 64,
      )
    })
  }
})
