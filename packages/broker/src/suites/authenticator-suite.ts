/** What an authenticator must do, whoever wrote it. */
import assert from 'node:assert/strict'
import { type Authenticator, authenticatorOf } from '../config/providers.ts'
import type { ClientInfo } from '../model/client-info.ts'
import type { Case } from './cases.ts'

export interface AuthenticatorSubject {
  readonly authenticator: Authenticator
  /** A login that it accepts. */
  readonly good: { readonly username: string; readonly password: string }
}

const client: ClientInfo = {
  connection: 1,
  clientId: 'suite',
  username: '',
  version: 5,
  listener: 'tcp',
  remoteAddress: '127.0.0.1',
  encrypted: false,
  kept: false,
  connectedAtMs: 0,
  keepAliveSeconds: 60,
}

export function authenticatorSuite(make: () => AuthenticatorSubject): readonly Case[] {
  async function asked(username: string | undefined, password: string | undefined): Promise<unknown> {
    const authenticate = authenticatorOf(make().authenticator, undefined)
    const bytes = password === undefined ? undefined : Buffer.from(password)
    return await authenticate?.({ ...client, username: username ?? '' }, { username, password: bytes })
  }
  const isVerdict = (answer: unknown): boolean =>
    typeof answer === 'boolean' ||
    answer === 'ignore' ||
    (typeof answer === 'object' && Number((answer as { readonly deny?: unknown } | null)?.deny) >= 0x80)
  return [
    {
      name: 'authenticator accepts a good login',
      run: async () => assert.equal(await asked(make().good.username, make().good.password), true),
    },
    {
      name: 'authenticator does not accept a wrong password, an empty one, or none',
      async run() {
        const { username, password } = make().good
        for (const wrong of [`${password}x`, password.slice(1), '', undefined]) {
          const answer = await asked(username, wrong)
          assert.ok(isVerdict(answer) && answer !== true, `it answered ${String(answer)}`)
        }
      },
    },
    {
      name: 'authenticator does not accept an unknown user, an empty name, or none, and never throws',
      async run() {
        for (const name of [
          'nobody-of-this-name',
          '',
          undefined,
          '__proto__',
          'constructor',
          '\u{1f600}',
          'x'.repeat(65_535),
        ]) {
          const answer = await asked(name, make().good.password)
          assert.ok(
            isVerdict(answer) && answer !== true,
            `it answered ${String(answer)} to ${String(name).slice(0, 20)}`,
          )
        }
      },
    },
    {
      name: 'authenticator answers many at once, each for itself',
      async run() {
        const { username, password } = make().good
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, i) => asked(username, i % 2 === 0 ? password : `${password}${i}`)),
        )
        for (const [i, answer] of answers.entries()) assert.equal(answer === true, i % 2 === 0)
      },
    },
  ]
}
