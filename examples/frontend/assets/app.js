import "./app.css";
import { greeting } from "./greeting.js";

document.body.dataset.greeting = greeting(new Date().getHours());
