/** What the demonstration has shown, from what its clients wrote down. */

export interface Observed {
  readonly node: number
  readonly messages: readonly string[]
  readonly hash: string
}

export interface Promised {
  readonly name: string
  readonly qos: 1 | 2
  readonly acknowledged: readonly number[]
  readonly refused: readonly string[]
}

/** What does not hold, in words; nothing if all does. */
export function problemsOf(observers: readonly Observed[], publishers: readonly Promised[]): string[] {
  const [first, ...others] = observers
  if (first === undefined) return ['Nobody observed']
  const problems = others
    .filter(({ hash }) => hash !== first.hash)
    .map(({ node, messages }) => {
      const at = first.messages.findIndex((message, i) => message !== messages[i])
      const where = at < 0 ? first.messages.length : at
      return `Nodes ${first.node} and ${node} differ from message ${where} on: ${first.messages[where]}, ${messages[where]}`
    })
  const times = new Map<string, number>()
  for (const message of first.messages) times.set(message, (times.get(message) ?? 0) + 1)
  const once = new Set(publishers.filter(({ qos }) => qos === 2).map(({ name }) => name))
  const twice = [...times]
    .filter(([message, count]) => count > 1 && once.has(message.slice(0, message.indexOf(':'))))
    .map(([message]) => message)
  if (twice.length > 0) problems.push(`${twice.length} messages of QoS 2 came twice: ${some(twice)}`)
  for (const { name, acknowledged, refused } of publishers) {
    const lost = acknowledged.map((number) => `${name}:${number}`).filter((message) => !times.has(message))
    if (lost.length > 0) problems.push(`${lost.length} acknowledged messages were lost: ${some(lost)}`)
    if (refused.length > 0) problems.push(`${refused.length} messages were refused: ${some(refused)}`)
  }
  return problems
}

function some(list: readonly string[]): string {
  return list.slice(0, 3).join(', ') + (list.length > 3 ? ', …' : '')
}
