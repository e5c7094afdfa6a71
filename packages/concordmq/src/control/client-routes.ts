/** Connected clients. */
import { ControlError } from './control-error.ts'
import type { ControlHandler } from './controlled-node.ts'
import { pageOf, pageOrder } from './page.ts'

export const listClients: ControlHandler = async ({ query }, { broker }) => {
  await broker.inspection.refresh()
  const text = (query.get('filter') ?? '').toLowerCase()
  const fits = (value: string): boolean => value.toLowerCase().includes(text)
  return pageOf(
    broker.inspection.clients(),
    ({ clientId, username, remoteAddress }) => text === '' || fits(clientId) || fits(username) || fits(remoteAddress),
    pageOrder(query),
  )
}

export const showClient: ControlHandler = async ({ names: [clientId = ''] }, { broker }) => {
  await broker.inspection.refresh()
  const client = broker.inspection.client(clientId)
  if (client === undefined) throw notConnected(clientId)
  return client
}

export const disconnectClient: ControlHandler = ({ names: [clientId = ''] }, { broker, logger }) => {
  if (!broker.disconnectClient(clientId)) throw notConnected(clientId)
  logger.info({ event: 'client.ended', clientId }, 'disconnected a client, as an operator asked')
  return { disconnected: clientId }
}

function notConnected(clientId: string): ControlError {
  return new ControlError(404, `No client "${clientId}" is connected`, '`concordmq ctl clients` lists them')
}
