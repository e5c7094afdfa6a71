/**
 * Members of shared groups for messages that skip the order of a cluster (architecture section 3.6): chosen by the node where the
 * message came in, and by the state as far as that node has it. Whose turn it is is that node's own memory and no part of the
 * state; nothing is queued, so only members that are connected come into question.
 */
import { compareText } from '../encoding/text-order.ts'
import type { PlacedMessage } from '../messages/message.ts'
import type { State } from '../state.ts'
import { chooseMember, type ShareGroup } from './share-group.ts'

/** Who was chosen last, by group. */
export type Turns = WeakMap<object, string>

/** A member, and the group (`$share/name/filter`) for which it gets the message. */
export interface OutsideChoice {
  readonly group: string
  readonly clientId: string
}

/** One member for each group that wants the message and has a connected one, by the groups' names. */
export function chooseOutside(state: State, placed: PlacedMessage, turns: Turns): OutsideChoice[] {
  if (state.shares.size === 0) return []
  const groups: ShareGroup[] = []
  state.shares.match(placed.message.topic, (group) => groups.push(group))
  if (groups.length > 1) groups.sort((a, b) => compareText(a.filter, b.filter))
  const choices: OutsideChoice[] = []
  for (const group of groups) {
    const { filter } = group
    const members = group.members.filter(({ session }) => session.connection !== undefined)
    const member = chooseMember({ filter, members, last: turns.get(group) ?? '' }, placed, state.settings)
    if (member === undefined) continue
    const { clientId } = member.session
    turns.set(group, clientId)
    choices.push({ group: filter, clientId })
  }
  return choices
}
