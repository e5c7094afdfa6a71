import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AnswerLine } from './answer-line.ts'

test('AnswerLine lets answers leave in the order of their requests, whatever the order in which they are ready', () => {
  const request = fc.record({ waits: fc.boolean(), later: fc.nat(9), ofRun: fc.boolean() })
  fc.assert(
    fc.property(fc.array(request, { maxLength: 3000 }), (requests) => {
      const sent: number[] = []
      const line = new AnswerLine({
        send: (firstByte, packetId, reasonCode) => {
          assert.deepEqual([firstByte, reasonCode], [0x50, packetId & 0xff])
          sent.push(packetId)
        },
        sendRun: (firstByte, packetIds, reasonCode) => {
          assert.deepEqual([firstByte, reasonCode], [0x40, 7])
          sent.push(...packetIds)
        },
      })
      const fill = ({ ticket, id, ofRun }: { ticket: number; id: number; ofRun: boolean }) => {
        if (ofRun) line.fillRun(ticket, { firstByte: 0x40, reasonCode: 7, taken: 1, refusal: undefined })
        else line.fill(ticket, 0x50, id, id & 0xff)
      }
      const waiting: { ticket: number; id: number; due: number; ofRun: boolean }[] = []
      for (const [i, { waits, later, ofRun }] of requests.entries()) {
        const id = i + 1
        if (waits) {
          const ticket = ofRun ? line.reserveRun(Uint16Array.of(id)) : line.reserve()
          waiting.push({ ticket, id, due: i + later, ofRun })
        } else if (line.length > 0) line.push(0x50, id, id & 0xff)
        else sent.push(id)
        for (const one of waiting.filter(({ due }) => due <= i)) {
          waiting.splice(waiting.indexOf(one), 1)
          fill(one)
        }
      }
      for (const one of waiting) fill(one)
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
  const line = new AnswerLine({
    send: (_firstByte, packetId) => sent.push(packetId),
    sendRun: () => assert.fail('no run'),
  })
  const first = line.reserve()
  line.push(0x40, 65_535, 0x97)
  line.giveUp(first)
  assert.deepEqual(sent, [65_535])
})

test('AnswerLine answers what was taken of a run and refuses the rest, or leaves it without an answer', () => {
  const sent: [number, readonly number[], number][] = []
  const line = new AnswerLine({
    send: () => assert.fail('no single answer'),
    sendRun: (firstByte, packetIds, reasonCode) => sent.push([firstByte, [...packetIds], reasonCode]),
  })
  const [first, second] = [line.reserveRun(Uint16Array.of(1, 2, 3)), line.reserveRun(Uint16Array.of(4, 5))]
  line.fillRun(second, { firstByte: 0x40, reasonCode: 0, taken: 1, refusal: undefined })
  assert.deepEqual(sent, [])
  line.fillRun(first, { firstByte: 0x40, reasonCode: 0, taken: 2, refusal: 0x97 })
  assert.deepEqual(sent, [
    [0x40, [1, 2], 0],
    [0x40, [3], 0x97],
    [0x40, [4], 0],
  ])
})
