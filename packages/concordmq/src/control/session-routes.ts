/** Sessions, their subscriptions, and retained messages. */
import { ControlError } from './control-error.ts'
import type { ControlHandler } from './controlled-node.ts'
import { pageOf, pageOrder } from './page.ts'

export const listSubscriptions: ControlHandler = async ({ query }, { broker }) => {
  await broker.inspection.refresh()
  const clientId = query.get('client') ?? undefined
  const text = query.get('filter') ?? ''
  return pageOf(broker.inspection.subscriptions(clientId), ({ filter }) => filter.includes(text), pageOrder(query))
}

export const listSessions: ControlHandler = ({ query }, { broker }) => {
  const text = query.get('filter') ?? ''
  const offline = query.get('offline') === 'true'
  return pageOf(
    broker.inspection.sessions(),
    ({ clientId, connected }) => clientId.includes(text) && !(offline && connected),
    pageOrder(query),
  )
}

export const showSession: ControlHandler = async ({ names: [clientId = ''] }, { broker }) => {
  await broker.inspection.refresh()
  const session = broker.inspection.session(clientId)
  if (session === undefined) throw noSession(clientId)
  const { items } = await pageOf(broker.inspection.subscriptions(clientId), () => true, { page: 1, size: 1_000 })
  return { ...session, filters: items }
}

export const endSession: ControlHandler = ({ names: [clientId = ''] }, { broker, logger }) => {
  if (!broker.inspection.endSession(clientId)) throw noSession(clientId)
  logger.info({ event: 'session.ended', clientId }, 'ended a session, as an operator asked')
  return { ended: clientId }
}

/** A filter of MQTT; `#` leaves out what begins with `$`, as everywhere. */
export const listRetained: ControlHandler = ({ query }, { broker }) => {
  const order = pageOrder(query)
  const start = (order.page - 1) * order.size
  const { total, found } = broker.inspection.retained(query.get('filter') ?? '#', { start, count: order.size })
  return { items: found, ...order, more: total > start + found.length, total }
}

export const removeRetained: ControlHandler = async ({ query }, { broker, logger }) => {
  const topic = query.get('topic') ?? ''
  if (/[+#]/.test(topic)) throw new ControlError(400, `"${topic}" is a filter: give the name of one topic`)
  const { total } = broker.inspection.retained(topic, { start: 0, count: 0 })
  if (topic === '' || total === 0) throw new ControlError(404, `No message of topic "${topic}" is retained`)
  // As a client does it [MQTT-3.3.1-6]: so it is in the order and on disk, and subscribers hear of it.
  await broker.publish({ topic, payload: '', retain: true })
  logger.info({ event: 'retained.deleted', topic }, 'deleted a retained message, as an operator asked')
  return { deleted: topic }
}

function noSession(clientId: string): ControlError {
  return new ControlError(
    404,
    `There is no session of client "${clientId}"`,
    '`concordmq ctl sessions list` lists them',
  )
}
