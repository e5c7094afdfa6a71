import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesText, durationText, formatPairs, formatTable, grouped } from './table.ts'

test('formatTable() lines columns up, numbers to the right', () => {
  const rows = [
    { name: 'a', count: 7 },
    { name: 'longer', count: 1_234 },
  ]
  assert.equal(
    formatTable(rows, [
      { head: 'NAME', cell: ({ name }) => name },
      { head: 'COUNT', cell: ({ count }) => grouped(count), right: true },
    ]),
    'NAME    COUNT\na           7\nlonger  1,234\n',
  )
})

test('what a client calls itself cannot move a cursor, forge a line or fill the screen', () => {
  const text = formatTable([`x\n\u001b[2J\u202e${'y'.repeat(500)}`], [{ head: 'CLIENT', cell: (row) => row }])
  assert.equal(text.split('\n').length, 3)
  assert.ok(!text.includes('\u001b') && !text.includes('\u202e'))
  assert.ok(text.length < 200)
  assert.equal(formatPairs({ Name: 'a\r\nb' }), 'Name  a\\u000d\\u000ab\n')
})

test('quantities are written as people write them', () => {
  assert.deepEqual([0, 999, 1_000, 1_234_567].map(grouped), ['0', '999', '1,000', '1,234,567'])
  assert.deepEqual([0, 1_023, 1_536, 5 * 1_048_576].map(bytesText), ['0 B', '1023 B', '1.5 KiB', '5.0 MiB'])
  assert.deepEqual([0, 59, 61, 3_600, 90_061].map(durationText), ['0 s', '59 s', '1 min 1 s', '1 h 0 min', '1 d 1 h'])
})
