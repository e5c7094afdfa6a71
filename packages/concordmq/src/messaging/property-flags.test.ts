import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CommandError } from '../command-error.ts'
import { parsePropertyFlags } from './property-flags.ts'

const commands = ['connect', 'publish', 'will'] as const

test('parsePropertyFlags() reads values of every type, and several user properties', () => {
  const words =
    'publish user-property k v publish user-property k w PUBLISH content-type text/plain publish message-expiry-interval 30 ' +
    'publish correlation-data ab connect receive-maximum 7 will will-delay-interval 5'
  assert.deepEqual(parsePropertyFlags(words.split(' '), commands), {
    publish: {
      userProperties: [
        ['k', 'v'],
        ['k', 'w'],
      ],
      contentType: 'text/plain',
      messageExpiryInterval: 30,
      correlationData: Uint8Array.of(97, 98),
    },
    connect: { receiveMaximum: 7 },
    will: { willDelayInterval: 5 },
  })
})

for (const [words, why] of [
  ['subscribe user-property k v', 'a packet the command does not send'],
  ['publish receive-maximum 7', 'a property of another packet'],
  ['publish topic-alias 1', 'what the client sets itself'],
  ['publish', 'a missing name'],
  ['publish content-type', 'a missing value'],
  ['publish user-property k', 'half a pair'],
  ['publish content-type a publish content-type b', 'a second value'],
  ['publish message-expiry-interval -1', 'a negative number'],
  ['connect receive-maximum 0', 'a number under its range'],
  ['connect receive-maximum 65536', 'a number over its range'],
  ['publish payload-format-indicator 2', 'a flag that is neither 0 nor 1'],
] as const) {
  test(`parsePropertyFlags() refuses ${why}: "${words}"`, () => {
    assert.throws(
      () => parsePropertyFlags(words.split(' '), commands),
      (error) => error instanceof CommandError && error.exitCode === 64,
    )
  })
}
