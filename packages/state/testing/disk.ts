/** A disk for the tests of this package: a store, a log, and what a crash leaves of them. */
import { Machine } from '../src/machine.ts'
import { Recovery } from '../src/saving/recovery.ts'
import type { Save } from '../src/saving/save.ts'
import type { MachineSettings } from '../src/settings.ts'
import { hex } from './harness.ts'

export class Disk {
  readonly records = new Map<string, { readonly key: Uint8Array; readonly value: Uint8Array }>()
  readonly contents = new Map<number, Map<number, Uint8Array>>()
  position = -1
  groups: Uint8Array[] = []

  log(group: Uint8Array | undefined): void {
    // It is valid until the next one is taken.
    if (group !== undefined) this.groups.push(group.slice())
  }

  apply({ gone, records, chunksGone, contents, position }: Save): void {
    for (const key of gone) this.records.delete(hex(key))
    for (const record of records) this.records.set(hex(record.key), record)
    for (const chunk of chunksGone) this.contents.delete(chunk)
    for (const { chunk, part, anew, content } of contents) {
      const parts = anew ? new Map<number, Uint8Array>() : (this.contents.get(chunk) ?? new Map<number, Uint8Array>())
      parts.set(part, content)
      this.contents.set(chunk, parts)
    }
    this.position = position
  }

  /** The log up to the last save goes, but for the last `left` groups, which may be older. */
  cutLog(left: number): void {
    this.groups = this.groups.filter((group, i) => placeOf(group) > this.position || i >= this.groups.length - left)
  }

  content(chunk: number): Uint8Array {
    const parts = this.contents.get(chunk) ?? new Map<number, Uint8Array>()
    return Buffer.concat([...parts].sort(([a], [b]) => a - b).map(([, content]) => content))
  }

  recover(settings: MachineSettings): Machine | { readonly malformed: string } {
    const recovery = new Recovery(settings)
    for (const { key, value } of this.records.values()) recovery.record(key, value)
    for (const group of this.groups) {
      const problem = recovery.group(group)
      if (problem !== undefined) return { malformed: problem }
    }
    const wanted = recovery.prepare()
    if ('malformed' in wanted) return wanted
    for (const id of wanted) recovery.content(id, this.content(id))
    return Machine.recover(recovery, settings)
  }
}

function placeOf(group: Uint8Array): number {
  return Number(Buffer.from(group.buffer, group.byteOffset, 8).readBigUInt64BE())
}
