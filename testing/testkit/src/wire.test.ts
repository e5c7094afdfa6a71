import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as wire from './wire.ts'

const hex = (buffer: Uint8Array) => Buffer.from(buffer).toString('hex')
const refusal = (version: wire.Version, bytes: string, pattern: RegExp) =>
  assert.throws(() => wire.decode(version, Buffer.from(bytes, 'hex')), pattern, bytes)

test('packets are encoded as the examples of the standards have them', () => {
  assert.equal(hex(wire.connect(4, { clientId: 'a', keepAlive: 10 })), '100d00044d5154540402000a000161')
  assert.equal(hex(wire.connect(3, { clientId: 'a' })), '100f00064d51497364700302000000' + '0161')
  assert.equal(hex(wire.publish(5, 'a/b', 'x', { qos: 1, id: 10 })), '32090003612f62000a0078')
  assert.equal(hex(wire.subscribe(4, 10, [['a/b', 1]])), '8208000a0003612f6201')
  assert.equal(
    hex(wire.unsubscribe(5, 10, ['a'], [['userProperty', ['k', 'v']]])),
    'a20d000a' + '0726' + '00016b000176' + '000161',
  )
  assert.equal(hex(wire.acknowledge('PUBREL', 258)), '62020102')
  assert.equal(hex(wire.disconnect(4, [['sessionExpiryInterval', 1]])), 'e00704051100000001')
})

test('flags of CONNECT follow from what is in it, unless given', () => {
  const flags = (options: wire.ConnectOptions) => wire.connect(4, options)[9]
  assert.equal(flags({}), 0x02)
  assert.equal(flags({ cleanStart: false, will: { topic: 'w', qos: 2, retain: true } }), 0x34)
  assert.equal(flags({ username: 'u', password: 'p' }), 0xc2)
  assert.equal(flags({ username: 'u', flags: 0x01 }), 0x01)
})

test('variable byte integers take the fewest bytes', () => {
  for (const [value, bytes] of [
    [0, '00'],
    [127, '7f'],
    [128, '8001'],
    [16_383, 'ff7f'],
    [2_097_152, '80808001'],
    [268_435_455, 'ffffff7f'],
  ] as const) {
    assert.equal(hex(wire.variable(value)), bytes)
  }
})

test('decode() waits for a whole packet and takes no more than one', () => {
  const packets = Buffer.from('20020000d000', 'hex')
  for (let length = 0; length < 4; length++) assert.equal(wire.decode(4, packets.subarray(0, length)), undefined)
  assert.deepEqual(wire.decode(4, packets)?.length, 4)
  assert.equal(wire.decode(4, packets.subarray(4))?.type, 'PINGRESP')
})

test('decode() reads what a server sends', () => {
  const connack = wire.decode(5, Buffer.from('200c' + '0100' + '09' + '21000a' + '26' + '000161' + '0000', 'hex'))
  assert.equal(connack?.sessionPresent, true)
  assert.deepEqual(connack?.properties, [
    ['receiveMaximum', 10],
    ['userProperty', ['a', '']],
  ])
  const publish = wire.decode(5, Buffer.from('3d0a' + '0001' + '74' + '0007' + '02' + '0b05' + '7879', 'hex'))
  assert.deepEqual(
    [publish?.topic, publish?.qos, publish?.dup, publish?.retain, publish?.id, publish?.payload.toString()],
    ['t', 2, true, true, 7, 'xy'],
  )
  assert.deepEqual(wire.decode(4, Buffer.from('9004000a0280', 'hex'))?.reasons, [2, 0x80])
  assert.equal(wire.decode(5, Buffer.from('e000', 'hex'))?.reason, 0)
})

test('decode() refuses packets that no server may send', () => {
  refusal(4, '20020200', /CONNACK with flags 2/)
  refusal(4, '21020000', /CONNACK with flags 1/)
  refusal(4, '60020001', /PUBREL with flags 0/)
  refusal(4, '2003000000', /1 bytes too many/)
  refusal(5, '20020000', /ends too early/)
  refusal(4, '3603000174', /QoS 3/)
  refusal(4, '3803000174', /QoS 0 and DUP/)
  refusal(4, '32050001740000', /packet identifier 0/)
  refusal(4, 'e000', /DISCONNECT from a server in version 4/)
  refusal(5, 'e00700051100000001', /property sessionExpiryInterval/)
  refusal(5, '2009000006' + '21000121' + '0001', /receiveMaximum twice/)
  refusal(5, '20050000027f00', /unknown property/)
  refusal(5, '200400008000', /more bytes than needed/)
  refusal(4, 'd08000', /more bytes than needed/)
  refusal(4, 'd0ffffffff01', /more than four bytes/)
  refusal(4, 'c000', /PINGREQ from a server/)
  refusal(4, '30040002c328', /invalid|encoded data/i)
})
