/** The worker's one router; every request it answers passes here. */
import type { RouteHandlerCallbackOptions, RouteHandlerObject } from "workbox-core/types.js";
import { Route } from "workbox-routing/Route.js";
import { Router } from "workbox-routing/Router.js";
import { type Way, wayOf } from "./routes";
import { scope } from "./scope";

type Handler = RouteHandlerObject | ((options: RouteHandlerCallbackOptions) => Promise<Response>);
type Match = (options: { request: Request; url: URL }) => boolean;

const router = new Router();
router.addFetchListener();

export function route(match: Match, handler: Handler, method: "GET" | "POST" = "GET"): void {
  router.registerRoute(new Route(match, handler, method));
}

export function routeTo(way: Way, handler: Handler, method: "GET" | "POST" = "GET"): void {
  route(({ request }) => wayOf(request, scope.location.origin) === way, handler, method);
}
