/**
 * What a running node can be asked over its control socket: one table of methods and paths. Handlers lie beside this file, one
 * for each kind of thing; each returns a value that becomes JSON, or writes the answer itself and returns nothing.
 */
import type { ServerResponse } from 'node:http'
import { deleteAccount, listAccounts, setAccount, showAccount } from './account-routes.ts'
import {
  deleteAddressRule,
  listAddressRules,
  setAddressRule,
  showAddressRule,
  testPermissionHere,
} from './acl-routes.ts'
import { addBan, liftBan, listBans } from './ban-routes.ts'
import { disconnectClient, listClients, showClient } from './client-routes.ts'
import { changeCluster, clusterEpoch, clusterStatus } from './cluster-routes.ts'
import { ControlError } from './control-error.ts'
import type { ControlHandler, ControlledNode } from './controlled-node.ts'
import { applyDocument, listDocuments, showDocument } from './document-routes.ts'
import { drainNode, nodeState } from './node-routes.ts'
import {
  endSession,
  listRetained,
  listSessions,
  listSubscriptions,
  removeRetained,
  showSession,
} from './session-routes.ts'
import { listSettings, reloadFiles, setSetting, showSetting } from './settings-routes.ts'
import { followTrace } from './trace-routes.ts'

const routes: readonly (readonly [method: string, path: string, handler: ControlHandler])[] = [
  ['GET', '/v1/state', nodeState],
  ['POST', '/v1/drain', drainNode],
  ['GET', '/v1/cluster', clusterStatus],
  ['GET', '/v1/cluster/epoch', clusterEpoch],
  ['POST', '/v1/cluster/changes', changeCluster],
  ['GET', '/v1/cluster/documents', listDocuments],
  ['GET', '/v1/cluster/documents/*', showDocument],
  ['POST', '/v1/cluster/documents', applyDocument],
  ['GET', '/v1/clients', listClients],
  ['GET', '/v1/clients/*', showClient],
  ['DELETE', '/v1/clients/*', disconnectClient],
  ['GET', '/v1/subscriptions', listSubscriptions],
  ['GET', '/v1/sessions', listSessions],
  ['GET', '/v1/sessions/*', showSession],
  ['DELETE', '/v1/sessions/*', endSession],
  ['GET', '/v1/retained', listRetained],
  ['DELETE', '/v1/retained', removeRetained],
  ['GET', '/v1/accounts', listAccounts],
  ['GET', '/v1/accounts/*', showAccount],
  ['PUT', '/v1/accounts/*', setAccount],
  ['DELETE', '/v1/accounts/*', deleteAccount],
  ['GET', '/v1/acl', listAddressRules],
  ['GET', '/v1/acl/*', showAddressRule],
  ['PUT', '/v1/acl/*', setAddressRule],
  ['DELETE', '/v1/acl/*', deleteAddressRule],
  ['GET', '/v1/permission', testPermissionHere],
  ['GET', '/v1/bans', listBans],
  ['POST', '/v1/bans', addBan],
  ['DELETE', '/v1/bans', liftBan],
  ['GET', '/v1/settings', listSettings],
  ['GET', '/v1/settings/*', showSetting],
  ['PUT', '/v1/settings/*', setSetting],
  ['POST', '/v1/reload', reloadFiles],
  ['GET', '/v1/trace', followTrace],
]

/** The answer; rejects with a `ControlError` for whatever the request has wrong. */
export async function answerTo(
  {
    method,
    url,
    body,
    response,
  }: { readonly method: string; readonly url: URL; readonly body: unknown; readonly response: ServerResponse },
  node: ControlledNode,
): Promise<unknown> {
  const parts = url.pathname.split('/').slice(1)
  const here = routes.filter(([, path]) => namesIn(path, parts) !== undefined)
  const [, path, handler] = here.find(([known]) => known === method) ?? []
  if (path === undefined || handler === undefined) {
    if (here.length === 0) throw new ControlError(404, `This version does not know ${url.pathname}`)
    throw new ControlError(400, `${url.pathname} takes ${here.map(([known]) => known).join(', ')}, not ${method}`)
  }
  return handler({ names: namesIn(path, parts) ?? [], query: url.searchParams, body, response }, node)
}

function namesIn(path: string, parts: readonly string[]): string[] | undefined {
  const pattern = path.split('/').slice(1)
  if (pattern.length !== parts.length) return undefined
  const names: string[] = []
  for (const [i, part] of parts.entries()) {
    if (pattern[i] === part) continue
    if (pattern[i] !== '*' || part === '') return undefined
    names.push(decode(part))
  }
  return names
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new ControlError(400, `"${part.slice(0, 40)}" is not percent-encoded text`)
  }
}
