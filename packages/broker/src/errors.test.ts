import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ConcordError, errorKinds, InvariantError, invariant, reasonOf, systemCode } from './errors.ts'

const sources = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.includes('.test') && name !== 'errors.ts')
  .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))
  .join('\n')

describe('ConcordError', () => {
  it('ends its message with the remedy of its code, and knows whether to try again', () => {
    const cause = new Error('EADDRINUSE')
    const error = new ConcordError('CMQ_ADDRESS_IN_USE', 'Cannot listen on 127.0.0.1:1883: the address is taken', {
      cause,
    })
    assert.equal(
      error.message,
      'Cannot listen on 127.0.0.1:1883: the address is taken; stop the other program or choose another address',
    )
    assert.equal(error.name, 'ConcordError')
    assert.equal(error.code, 'CMQ_ADDRESS_IN_USE')
    assert.equal(error.retryable, true)
    assert.equal(error.cause, cause)
    assert.ok(error instanceof Error)
  })

  it('has a remedy without final stop for every code, and no code nobody uses', () => {
    for (const [code, { remedy }] of Object.entries(errorKinds)) {
      assert.match(remedy, /^[a-z].*[^.]$/, code)
      assert.ok(sources.includes(`'${code}'`), `${code} is never used`)
    }
  })
})

describe('invariant()', () => {
  it('throws InvariantError only when what must hold does not', () => {
    invariant(true, 'fine')
    assert.throws(
      () => invariant(false, 'queue below zero'),
      (error) => error instanceof InvariantError,
    )
  })
})

describe('systemCode() and reasonOf()', () => {
  it('read anything that was thrown', () => {
    assert.equal(systemCode(Object.assign(new Error('x'), { code: 'ENOENT' })), 'ENOENT')
    assert.equal(systemCode(Object.assign(new Error('x'), { code: 5 })), '')
    assert.equal(systemCode('ENOENT'), '')
    assert.equal(reasonOf(new Error('why')), 'why')
    assert.equal(reasonOf('why'), 'why')
  })
})
