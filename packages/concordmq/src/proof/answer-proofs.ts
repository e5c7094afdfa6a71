/**
 * Proofs over MQTT 5: a client of this node publishes a position to `$concord/proof`, with a response topic, and gets the proof
 * there, alone, with its correlation data. The request has a place in the order like any message, and the node of its client
 * answers; the answer goes to that connection and to nobody else, whatever topic it names, so nobody publishes by it what he may not.
 *
 * A proof holds the messages of its block: who may publish to `$concord/proof` may read any message.
 */
import type { Broker, InlineMessage } from '@concordmq/broker'
import { type LogProof, proofText } from '@concordmq/consensus'
import { errorCode } from '../command-error.ts'

export const proofTopic = '$concord/proof'

/** Who can prove a position of the log. */
export interface Prover {
  proof(position: number): Promise<LogProof>
}

/** Answers as long as the broker runs. */
export function answerProofs(broker: Pick<Broker, 'subscribe' | 'client' | 'sendTo'>, prover: Prover): void {
  broker.subscribe(proofTopic, (message) => {
    // Other nodes get the request, too; a retained one was answered when it came.
    if (message.retain || broker.client(message.publisher) === undefined) return
    void answer(message, prover).then((reply) => {
      if (reply !== undefined) broker.sendTo(message.publisher, reply)
    })
  })
}

type Reply = Parameters<Broker['sendTo']>[1]

/** Undefined: nobody can be answered, since no response topic is named. */
async function answer({ payload, properties }: InlineMessage, prover: Prover): Promise<Reply | undefined> {
  const { responseTopic: topic, correlationData } = properties ?? {}
  if (topic === undefined) return undefined
  const correlation = correlationData === undefined ? {} : { correlationData }
  const text = new TextDecoder().decode(payload.subarray(0, 32))
  if (!/^\d{1,16}$/u.test(text)) {
    return refusal(topic, correlation, {
      code: 'CMQ_MESSAGE',
      reason: 'A request has a position as its payload, in digits',
    })
  }
  try {
    const proof = proofText(await prover.proof(Number(text)))
    return { topic, payload: proof, qos: 1, properties: { ...correlation, contentType: 'application/json' } }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return refusal(topic, correlation, { code: errorCode(error) ?? 'failed', reason })
  }
}

function refusal(
  topic: string,
  correlation: { readonly correlationData?: Uint8Array },
  { code, reason }: { readonly code: string; readonly reason: string },
): Reply {
  const userProperties = [['concord-error', code]] as const
  return { topic, payload: reason, qos: 1, properties: { ...correlation, userProperties } }
}
