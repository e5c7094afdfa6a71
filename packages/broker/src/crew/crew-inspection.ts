/**
 * What an operator may see of a broker of several worker threads. Sessions, kept subscriptions and retained messages are in the
 * state that the first worker has; of clients at other workers it shows what those said when they were last asked (`refresh`).
 */
import type { ClientDetail, Inspection, SubscriptionInfo } from '../admin/inspection.ts'
import type { Crew } from './crew.ts'
import type { LocalBroker } from './local-broker.ts'

export function inspectionOfCrew(first: LocalBroker, crew: Crew): Inspection {
  const { inspection } = first
  let clients: ReadonlyMap<string, ClientDetail> = new Map()
  let subscriptions: readonly SubscriptionInfo[] = []
  const isElsewhere = (clientId: string): boolean => (first.workerOf(clientId) ?? 0) > 0

  return {
    ...inspection,
    async refresh() {
      const all = await crew.callAll('inspect')
      clients = new Map(all.flatMap((one) => one.clients.map((client) => [client.clientId, client] as const)))
      subscriptions = all.flatMap((one) => one.subscriptions)
    },
    *clients() {
      yield* inspection.clients()
      for (const [clientId, client] of clients) if (isElsewhere(clientId)) yield client
    },
    client(clientId) {
      return inspection.client(clientId) ?? (isElsewhere(clientId) ? clients.get(clientId) : undefined)
    },
    *subscriptions(clientId) {
      yield* inspection.subscriptions(clientId)
      for (const one of subscriptions) {
        if ((clientId === undefined || one.clientId === clientId) && isElsewhere(one.clientId)) yield one
      }
    },
    endSession(clientId) {
      const worker = first.workerOf(clientId) ?? 0
      if (worker > 0) void crew.call(worker, 'disconnectClient', clientId, {})
      return inspection.endSession(clientId)
    },
    totals() {
      const totals = inspection.totals()
      const others = crew.place.others()
      const more = (of: (figures: (typeof others)[number]) => number): number =>
        others.reduce((sum, one) => sum + of(one), 0)
      return {
        ...totals,
        clients: totals.clients + more((one) => one.clientsConnected),
        connections: totals.connections + more((one) => one.connections),
        subscriptions: totals.subscriptions + more((one) => one.subscriptions),
      }
    },
  }
}
