import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MessageKind } from '../model/block.ts'
import { constantsFor } from '../model/constants.ts'
import { engineItself, type OwnMessage, Submissions } from './submissions.ts'
import { defaultTunables, type Tunables } from './tunables.ts'

const seqWindow = 64

function submissions(tunables: Partial<Tunables> = {}): Submissions {
  return new Submissions({ ...defaultTunables, ...tunables }, constantsFor(4, { seqWindow, blockMessagesMax: 100 }))
}

function submit(to: Submissions, id: number, size = 1): OwnMessage | 'busy' | 'tooLarge' {
  return to.submit({ id, keep: false }, MessageKind.payload, new Uint8Array(size), id)
}

const seqs = (messages: readonly OwnMessage[]): number[] => messages.map(({ seq }) => seq)

describe('Submissions', () => {
  it('numbers messages without gaps, and queues what became void again in the order of numbers', () => {
    const own = submissions()
    for (let id = 0; id < 3; id++) submit(own, id)
    assert.deepEqual(seqs(own.take(1)), [0, 1, 2])
    submit(own, 3)
    own.requeue(1)
    assert.deepEqual(seqs(own.take(2)), [0, 1, 2, 3])
    assert.equal(own.queuedMessages, 0)
    assert.equal(own.queuedBytes, 0)
  })

  it('does not send again what has its place meanwhile', () => {
    const own = submissions()
    for (let id = 0; id < 3; id++) submit(own, id)
    own.take(1)
    own.requeue(1)
    assert.equal(own.placed(1), 1)
    assert.deepEqual(seqs(own.take(2)), [0, 2])
    assert.equal(own.queuedBytes, 0)
  })

  it('reserves numbers before a block with them leaves, each range once', () => {
    const own = submissions()
    submit(own, 0)
    own.take(1)
    const range = own.rangeForBlock(1)
    assert.ok(range !== undefined && range > 0)
    assert.equal(own.rangeForBlock(1), undefined)
    const later = submissions()
    later.reserve(range)
    const message = submit(later, 1)
    assert.ok(typeof message !== 'string' && message.seq >= range)
  })

  it('keeps all numbers of a block within half a window of the oldest message without a place', () => {
    const own = submissions()
    for (let id = 0; id < seqWindow; id++) submit(own, id)
    assert.equal(own.take(1).length, seqWindow / 2)
    assert.equal(own.take(2).length, 0)
    for (let seq = 0; seq < 10; seq++) own.placed(seq)
    assert.equal(own.take(3).length, 10)
  })

  it('refuses beyond its maxima, but never what the engine itself has to say', () => {
    const own = submissions({ queueMessagesMax: 2 })
    submit(own, 0)
    submit(own, 1)
    assert.equal(submit(own, 2), 'busy')
    assert.equal(submit(own, 3, own.bodyBytesMax), 'tooLarge')
    assert.notEqual(own.submit(engineItself, MessageKind.evidence, new Uint8Array(1), 0), 'busy')
  })

  it('restores what was kept, unless one of its blocks has it', () => {
    const own = submissions()
    const message = (seq: number) => ({ kind: MessageKind.payload, seq, recvUs: 0, bytes: Uint8Array.of(seq) })
    for (const seq of [4, 5, 6]) own.restoreMessage(message(seq))
    own.restoreBlock(9, [message(5)])
    assert.deepEqual(seqs(own.take(10)), [4, 6])
    const next = submit(own, 1)
    assert.ok(typeof next !== 'string' && next.seq > 6)
  })

  it('restores a long log in the time that it takes to read it, and counts what is left', () => {
    const own = submissions()
    const message = (seq: number) => ({ kind: MessageKind.payload, seq, recvUs: 0, bytes: Uint8Array.of(1, 2, 3) })
    const count = 40_000
    const begun = process.cpuUsage()
    for (let seq = 0; seq < count; seq++) own.restoreMessage(message(seq))
    for (let seq = 1; seq < count - 2; seq += 2) own.restoreBlock(seq, [message(seq), message(seq + 1)])
    const { user } = process.cpuUsage(begun)
    assert.ok(user < 5_000_000, `${user} µs of CPU`)
    assert.equal(own.queuedMessages, 2)
    assert.deepEqual(seqs(own.take(count)), [0])
    assert.equal(own.queuedBytes, 24)
  })

  it('gives up everything when nobody hears this node any more', () => {
    const own = submissions()
    submit(own, 7)
    own.take(1)
    submit(own, 8)
    assert.deepEqual(own.abandon(), [7, 8])
    assert.equal(own.openMessages, 0)
  })
})
