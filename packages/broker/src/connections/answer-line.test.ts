import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AnswerLine } from './answer-line.ts'

test('AnswerLine lets answers leave in the order of their requests, whatever the order in which they are ready', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ waits: fc.boolean(), later: fc.nat(9) }), { maxLength: 3000 }), (requests) => {
      const sent: number[] = []
      const line = new AnswerLine((firstByte, packetId, reasonCode) => {
        assert.deepEqual([firstByte, reasonCode], [0x50, packetId & 0xff])
        sent.push(packetId)
      })
      const waiting: { ticket: number; id: number; due: number }[] = []
      for (const [i, { waits, later }] of requests.entries()) {
        const id = i + 1
        if (waits) waiting.push({ ticket: line.reserve(), id, due: i + later })
        else if (line.length > 0) line.push(0x50, id, id & 0xff)
        else sent.push(id)
        for (const one of waiting.filter(({ due }) => due <= i)) {
          waiting.splice(waiting.indexOf(one), 1)
          line.fill(one.ticket, 0x50, one.id, one.id & 0xff)
        }
      }
      for (const { ticket, id } of waiting) line.fill(ticket, 0x50, id, id & 0xff)
      assert.deepEqual(
        sent,
        Array.from(requests, (_, i) => i + 1),
      )
      assert.equal(line.length, 0)
    }),
  )
})

test('AnswerLine passes over a place that was given up', () => {
  const sent: number[] = []
  const line = new AnswerLine((_firstByte, packetId) => sent.push(packetId))
  const first = line.reserve()
  line.push(0x40, 65_535, 0x97)
  line.giveUp(first)
  assert.deepEqual(sent, [65_535])
})
