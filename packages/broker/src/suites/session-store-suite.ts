/** What a session store must do, whoever wrote it: records by key, contents by number, saves whole or not at all. */
import assert from 'node:assert/strict'
import type { Save } from '@concordmq/state'
import type { Store } from '../model/store.ts'
import type { Case } from './cases.ts'

export interface SessionStoreSubject {
  /** Opens the store; the second call, after `close`, finds what the first one left. */
  readonly open: () => Promise<Store>
  /** False: it forgets when it is closed, and is not asked to remember. */
  readonly remembers: boolean
}

/** `make` gives a new, empty place for a store each time. */
export function sessionStoreSuite(make: () => SessionStoreSubject | Promise<SessionStoreSubject>): readonly Case[] {
  return [
    {
      name: 'session store keeps records as the last save has them',
      async run() {
        const subject = await make()
        let store = await subject.open()
        await store.commit(save({ records: [1, 2, 3].map((n) => ({ key: bytes(`\xff${n}`), value: bytes(`v${n}`) })) }))
        await store.commit(
          save({
            gone: [bytes('\xff1'), bytes('\xff2'), bytes('none')],
            records: [{ key: bytes('\xff2'), value: bytes('new') }],
          }),
        )
        store = await reopened(store, subject)
        assert.deepEqual(await recordsOf(store), ['\xff2=new', '\xff3=v3'])
        await store.close()
      },
    },
    {
      name: 'session store keeps contents in parts, replaces them, and forgets them',
      async run() {
        const subject = await make()
        let store = await subject.open()
        await store.commit(save({ contents: [part(1, 0, 'a', true), part(2, 0, 'x', true)] }))
        await store.commit(save({ contents: [part(1, 700, 'c', false), part(1, 9, 'b', false)] }))
        store = await reopened(store, subject)
        assert.equal(text(await store.content(1)), 'abc')
        await store.commit(save({ chunksGone: [2], contents: [part(1, 0, 'anew', true)] }))
        assert.equal(text(await store.content(1)), 'anew')
        assert.equal((await store.content(2)).length, 0)
        assert.equal((await store.content(99)).length, 0)
        await store.close()
      },
    },
    {
      name: 'session store takes many and large records in one save, and finds nothing wrong with itself',
      async run() {
        const store = await (await make()).open()
        const records = Array.from({ length: 20_000 }, (_, n) => ({ key: bytes(`many${n}`), value: bytes(`v${n}`) }))
        records.push({ key: bytes('large'), value: new Uint8Array(17_000_000) })
        await store.commit(save({ records }))
        let count = 0
        for await (const batch of store.records()) count += batch.length
        assert.equal(count, 20_001)
        assert.deepEqual(await store.check(), [])
        await store.close()
      },
    },
    {
      name: 'session store keeps bytes as they were given, whatever becomes of the buffers',
      async run() {
        const store = await (await make()).open()
        const value = Uint8Array.from({ length: 256 }, (_, i) => i)
        const saved = save({ records: [{ key: Uint8Array.of(0, 255, 10), value }] })
        await store.commit(saved)
        for await (const [[key, found] = []] of store.records()) {
          assert.deepEqual([...(key ?? [])], [0, 255, 10])
          assert.deepEqual(
            [...(found ?? [])],
            Array.from({ length: 256 }, (_, i) => i),
          )
        }
        await store.close()
      },
    },
  ]
}

async function reopened(store: Store, { open, remembers }: SessionStoreSubject): Promise<Store> {
  if (!remembers) return store
  await store.close()
  return await open()
}

function part(chunk: number, first: number, content: string, anew: boolean): Save['contents'][number] {
  return { chunk, part: first, anew, content: bytes(content) }
}

function save(parts: Partial<Save>): Save {
  return { position: 1, gone: [], records: [], chunksGone: [], contents: [], ...parts }
}

function bytes(latin1: string): Uint8Array {
  return new Uint8Array(Buffer.from(latin1, 'latin1'))
}

function text(content: Uint8Array): string {
  return Buffer.from(content).toString('latin1')
}

async function recordsOf(store: Store): Promise<string[]> {
  const found: string[] = []
  for await (const batch of store.records()) for (const [key, value] of batch) found.push(`${text(key)}=${text(value)}`)
  return found.sort()
}
