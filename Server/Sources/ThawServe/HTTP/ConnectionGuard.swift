// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// Ends connections that ask for too much patience, and answers what never becomes a request.
///
/// It stands between the HTTP decoder and hummingbird, one for each connection:
/// - a request's head must come within a time, and so must its body (408);
/// - a connection without a request is closed after a time;
/// - what is no HTTP is answered by 400, a head that is too large by 431;
/// - a request that is answered before its body has come (413) is not read to its end: the connection is
///   closed once the client had time to see the answer.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  /// The times.
  struct Patience: Sendable {
    /// For a request's head, from when the connection opens.
    var head = TimeAmount.seconds(10)
    /// For its body.
    var body = TimeAmount.seconds(30)
    /// For the next request on a connection.
    var idle = TimeAmount.seconds(60)
    /// For the client to read an answer that came early.
    var linger = TimeAmount.seconds(1)
  }

  private let patience: Patience
  private let maximumBody: Int
  /// Whether a head came whose body has not ended.
  private var isReading = false
  /// Heads that came and answers that did not end.
  private var pending = 0
  /// Whether an answer's head has been written and not its end.
  private var isAnswering = false
  private var closesAfterAnswer = false
  /// Whether nothing more is read or written.
  private var isOver = false
  private var timer: Scheduled<Void>?

  init(_ patience: Patience, maximumBody: Int) {
    self.patience = patience
    self.maximumBody = maximumBody
  }

  func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { arm(context, patience.head) }
  }

  func channelActive(context: ChannelHandlerContext) {
    arm(context, patience.head)
    context.fireChannelActive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

  func channelInactive(context: ChannelHandlerContext) {
    timer?.cancel()
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isOver else { return }
    switch unwrapInboundIn(data) {
    case .head(let head):
      isReading = true
      pending += 1
      arm(context, patience.body)
      askForBody(head, context)
    case .body: break
    case .end:
      isReading = false
      timer?.cancel()
    }
    context.fireChannelRead(data)
  }

  /// Clients with a large body ask first; the answer comes only when it is not too large.
  private func askForBody(_ head: HTTPRequest, _ context: ChannelHandlerContext) {
    guard head.headerFields[.expect]?.lowercased() == "100-continue", pending == 1 else { return }
    let length = head.headerFields[.contentLength].flatMap { Int($0) } ?? 0
    if length <= maximumBody {
      context.writeAndFlush(
        wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
    }
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard !isOver else {
      promise?.fail(ChannelError.ioOnClosedChannel)
      return
    }
    switch unwrapOutboundIn(data) {
    case .head(var head):
      isAnswering = true
      if isReading {
        closesAfterAnswer = true
        head.headerFields[.connection] = "close"
      }
      context.write(wrapOutboundOut(.head(head)), promise: promise)
    case .body: context.write(data, promise: promise)
    case .end:
      isAnswering = false
      pending -= 1
      context.writeAndFlush(data, promise: promise)
      if closesAfterAnswer {
        finish(context)
      } else if pending == 0 {
        arm(context, patience.idle)
      }
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard !isOver else { return }
    guard !(error is IOError), !(error is ChannelError) else {
      context.fireErrorCaught(error)
      return
    }
    // The end of a connection in the middle of a request is nobody's question any more.
    let isCut = (error as? HTTPParserError) == .invalidEOFState
    if pending <= (isReading ? 1 : 0), !isAnswering, !isCut {
      let isLarge = (error as? HTTPParserError) == .headerOverflow
      refuse(
        context,
        isLarge ? .requestHeaderFieldsTooLarge : .badRequest,
        isLarge ? "The request's head is too large." : "This is no HTTP/1.1 request.")
    }
    isOver = true
    context.fireErrorCaught(error)
  }

  private func arm(_ context: ChannelHandlerContext, _ time: TimeAmount) {
    timer?.cancel()
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    timer = context.eventLoop.scheduleTask(in: time) {
      let (own, context) = bound.value
      own.timeIsUp(context)
    }
  }

  private func timeIsUp(_ context: ChannelHandlerContext) {
    guard !isOver else { return }
    if isReading, pending == 1, !isAnswering {
      refuse(context, .requestTimeout, "The request took too long to arrive.")
    } else {
      isOver = true
      context.close(promise: nil)
    }
  }

  private func refuse(
    _ context: ChannelHandlerContext, _ status: HTTPResponse.Status, _ text: String
  ) {
    let body = ByteBuffer(string: #"{"error":"\#(text)"}"#)
    let head = HTTPResponse(
      status: status,
      headerFields: [
        .contentType: "application/json", .contentLength: "\(body.readableBytes)",
        .connection: "close",
      ])
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    context.write(wrapOutboundOut(.body(body)), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    finish(context)
  }

  /// Nothing more is said; what still comes is dropped until the client is gone or the time is up. Closing at
  /// once would take the answer away from a client that is still sending.
  private func finish(_ context: ChannelHandlerContext) {
    isOver = true
    timer?.cancel()
    context.close(mode: .output, promise: nil)
    let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
    timer = context.eventLoop.scheduleTask(in: patience.linger) {
      bound.value.close(promise: nil)
    }
    if isReading { drop(context) }
  }

  /// Whoever waits for the rest of the body waits no longer.
  private func drop(_ context: ChannelHandlerContext) {
    context.fireErrorCaught(HTTPParserError.closedConnection)
  }
}
