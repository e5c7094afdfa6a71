/** Who is kept out for a while: by failed logins, by flapping, or by an operator. Bans live as long as the process. */
import type { BanKind } from '@concordmq/broker'
import { ControlError } from './control-error.ts'
import type { ControlHandler } from './controlled-node.ts'
import { pageOf, pageOrder } from './page.ts'
import { readBody } from './read-body.ts'

const secondsMax = 315_360_000

export const listBans: ControlHandler = ({ query }, { broker }) => {
  const text = query.get('filter') ?? ''
  return pageOf(broker.bans(), ({ value }) => value.includes(text), pageOrder(query))
}

export const addBan: ControlHandler = ({ body }, { broker, logger }) => {
  const { kind, value, seconds } = readBody(body, { kind: 'text', value: 'text', seconds: 'integer' })
  const of = kindOf(kind)
  if (value === undefined || value === '') throw new ControlError(400, 'Whom to ban is missing')
  if (seconds !== undefined && (seconds < 1 || seconds > secondsMax)) {
    throw new ControlError(400, `"seconds" must be an integer from 1 to ${secondsMax}, not ${seconds}`)
  }
  try {
    broker.ban({ kind: of, value, ...(seconds !== undefined && { forMs: seconds * 1_000 }) })
  } catch (error) {
    throw new ControlError(400, error instanceof Error ? error.message : String(error))
  }
  logger.info({ event: 'ban.added', kind: of, value, seconds }, 'banned, as an operator asked')
  return { kind: of, value, seconds: seconds ?? null }
}

export const liftBan: ControlHandler = ({ query }, { broker, logger }) => {
  const kind = kindOf(query.get('kind') ?? undefined)
  const value = query.get('value') ?? ''
  if (!broker.liftBan({ kind, value })) {
    throw new ControlError(404, `There is no such ban of "${value}"`, '`concordmq ctl bans list` lists them')
  }
  logger.info({ event: 'ban.lifted', kind, value }, 'lifted a ban, as an operator asked')
  return { lifted: value }
}

function kindOf(kind: string | undefined): BanKind {
  if (kind === 'address' || kind === 'clientId' || kind === 'user') return kind
  throw new ControlError(400, '"kind" must be "address", "clientId" or "user"')
}
