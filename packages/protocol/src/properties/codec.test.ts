/** What the catalogue does not show of properties: the table itself, and reading them without a packet. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isRefusal } from '../refusal.ts'
import { decodeProperties } from './codec.ts'
import { propertyById, propertyByName, propertyTable } from './table.ts'

test('the table has the 27 properties of table 2-4, each once', () => {
  assert.equal(propertyTable.length, 27)
  assert.equal(new Set(propertyTable.map(({ id }) => id)).size, 27)
  assert.equal(new Set(propertyTable.map(({ name }) => name)).size, 27)
  for (const row of propertyTable) {
    assert.equal(propertyById(row.id), row)
    assert.equal(propertyByName(row.name), row)
  }
  assert.equal(propertyById(0), undefined)
  assert.equal(propertyById(0x7fff_ffff), undefined)
  assert.equal(propertyByName('toString'), undefined)
})

test('the table gives each packet as many properties as its section describes', () => {
  const counts: Record<string, number> = {}
  for (const { sections } of propertyTable) {
    for (const where of Object.keys(sections)) counts[where] = (counts[where] ?? 0) + 1
  }
  assert.deepEqual(counts, {
    connect: 9,
    will: 7,
    connack: 17,
    publish: 8,
    puback: 2,
    pubrec: 2,
    pubrel: 2,
    pubcomp: 2,
    subscribe: 2,
    suback: 2,
    unsubscribe: 1,
    unsuback: 2,
    disconnect: 4,
    auth: 4,
  })
})

test('decodeProperties() reads a range of a buffer and copies binary data out of it', () => {
  const buf = Uint8Array.of(0xff, 0x09, 0x00, 0x02, 0xaa, 0xbb, 0xff)
  const properties = decodeProperties(buf, 1, 6, 'publish')
  assert.ok(properties !== undefined && !isRefusal(properties))
  buf.fill(0)
  assert.deepEqual(properties, { correlationData: Uint8Array.of(0xaa, 0xbb) })
})

test('decodeProperties() copies binary data out of a Buffer too, whose slices are views', () => {
  const buf = Buffer.from([0x09, 0x00, 0x01, 0xaa])
  const properties = decodeProperties(buf, 0, 4, 'publish')
  assert.ok(properties !== undefined && !isRefusal(properties))
  buf.fill(0)
  assert.equal(properties.correlationData?.[0], 0xaa)
})

test('decodeProperties() answers undefined where there is nothing', () => {
  assert.equal(decodeProperties(new Uint8Array(4), 2, 2, 'publish'), undefined)
})

test('decodeProperties() refuses a property that ends behind the range, though the buffer goes on [MQTT-4.13.1-1]', () => {
  const refusal = decodeProperties(Uint8Array.of(0x02, 0, 0, 0, 1), 0, 4, 'publish')
  assert.ok(isRefusal(refusal))
  assert.deepEqual([refusal.reasonCode, refusal.statement], [0x81, 'MQTT-4.13.1-1'])
})
