/** What every store must do; run by each form's own tests. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Save } from '@concordmq/state'
import type { Store } from '../model/store.ts'

const key = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))

function save(parts: Partial<Save>): Save {
  return { position: 1, gone: [], records: [], chunksGone: [], contents: [], ...parts }
}

async function recordsOf(store: Store): Promise<string[]> {
  const found: string[] = []
  for await (const batch of store.records()) {
    for (const [name, value] of batch)
      found.push(`${Buffer.from(name).toString('latin1')}=${Buffer.from(value).toString()}`)
  }
  return found.sort()
}

/** `open` opens the same store again after `close`; undefined: it forgets. */
export function storeSuite(name: string, { make, reopens }: { make: () => Promise<Store>; reopens: boolean }): void {
  test(`${name} keeps records as the last save has them`, async () => {
    let store = await make()
    await store.commit(save({ records: [1, 2, 3].map((n) => ({ key: key(`\xff${n}`), value: key(`v${n}`) })) }))
    await store.commit(
      save({ gone: [key('\xff1'), key('\xff2'), key('none')], records: [{ key: key('\xff2'), value: key('new') }] }),
    )
    if (reopens) {
      await store.close()
      store = await make()
    }
    assert.deepEqual(await recordsOf(store), ['\xff2=new', '\xff3=v3'])
    await store.close()
  })

  test(`${name} keeps contents in parts, replaces them, and forgets them`, async () => {
    let store = await make()
    const part = (chunk: number, first: number, text: string, anew: boolean) => ({
      chunk,
      part: first,
      anew,
      content: key(text),
    })
    await store.commit(save({ contents: [part(1, 0, 'a', true), part(2, 0, 'x', true)] }))
    await store.commit(save({ contents: [part(1, 700, 'c', false), part(1, 9, 'b', false)] }))
    if (reopens) {
      await store.close()
      store = await make()
    }
    assert.equal(Buffer.from(await store.content(1)).toString(), 'abc')
    await store.commit(save({ chunksGone: [2], contents: [part(1, 0, 'anew', true)] }))
    assert.equal(Buffer.from(await store.content(1)).toString(), 'anew')
    assert.equal((await store.content(2)).length, 0)
    assert.equal((await store.content(99)).length, 0)
    await store.close()
  })

  test(`${name} takes large and many records in one save`, async () => {
    const store = await make()
    const records = Array.from({ length: 20_000 }, (_, n) => ({ key: key(`many${n}`), value: key(`v${n}`) }))
    records.push({ key: key('large'), value: new Uint8Array(17_000_000) })
    await store.commit(save({ records }))
    let count = 0
    for await (const batch of store.records()) count += batch.filter(([name]) => name[0] !== 0xff).length
    assert.equal(count, 20_001)
    assert.deepEqual(await store.check(), [])
    await store.close()
  })
}
