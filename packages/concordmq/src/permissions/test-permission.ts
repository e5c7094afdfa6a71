/** `acl test`: what the permissions of a directory, or those of a cluster, say to one question, and which rule says it. */
import { join } from 'node:path'
import { type Action, Rules } from '@concordmq/broker'
import { filterProblem, topicNameProblem } from '@concordmq/protocol'
import type { SourceText } from '../administration/ordered-texts.ts'
import { CommandError } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import { readTextIfPresent } from '../files/read-text.ts'
import { parsePermissionsFile } from './permissions-file.ts'

export interface Question {
  /** Empty: anonymous. */
  readonly user: string
  readonly action: Action
  /** A topic name, or for `subscribe` a topic filter. */
  readonly topic: string
  readonly clientId: string
  /** Empty: unknown. */
  readonly address: string
}

export interface Answer {
  readonly allowed: boolean
  readonly text: string
}

export interface InForce {
  /** What the cluster has in the place of the file. */
  readonly ordered?: SourceText | undefined
  /** The file is left aside. */
  readonly ignored?: boolean
}

export function testPermission(
  question: Question,
  directory: string,
  { ordered, ignored = false }: InForce = {},
): Answer {
  const { user, action, topic, clientId, address } = question
  const problem = action === 'publish' ? topicNameProblem(topic) : filterProblem(topic)?.detail
  if (problem !== undefined) {
    const what = action === 'publish' ? `The topic ${JSON.stringify(topic)} ${problem}` : problem
    throw new CommandError(ExitCode.usage, what, {
      remedy: 'Give a topic name to publish, a topic filter to subscribe',
    })
  }
  const path = ordered?.name ?? join(directory, 'permissions.toml')
  const file = ordered ?? readTextIfPresent(path)
  const who = `${user === '' ? 'the anonymous client' : `user ${JSON.stringify(user)}`}${clientId === '' ? '' : ` as client ${JSON.stringify(clientId)}`}`
  const say = (allowed: boolean, why: string): Answer => ({
    allowed,
    text: `${allowed ? 'allowed' : 'denied'}: ${who} may ${allowed ? '' : 'not '}${action === 'publish' ? 'publish' : 'subscribe'} to ${JSON.stringify(topic)}\n${why}\n`,
  })
  if (ordered === undefined && ignored)
    return say(true, `${path} is left aside, as --ignore-permissions asks: everything is allowed`)
  if (file === undefined) return say(true, `there is no ${path}: everything is allowed`)
  const rules = new Rules(parsePermissionsFile(file.text, path))
  const inner = action === 'subscribe' ? topic.replace(/^\$share\/[^/]+\//, '') : topic
  const client = { clientId, principal: user, remoteAddress: address, grants: undefined, rights: undefined }
  const { allowed, why } = rules.explain(client, action, inner)
  return say(allowed, why)
}
