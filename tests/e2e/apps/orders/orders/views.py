"""GET: a page that needs no database. POST: it stores an order and queues a task for it."""

from celery import current_app
from django.conf import settings
from django.http import HttpResponse
from django.templatetags.static import static
from django.views.decorators.csrf import csrf_exempt

from .models import Order


@csrf_exempt
def page(request):
    """With `?task=NAME`, queue that task instead of deliver. This release need not know it."""
    body = f'<html><link rel="stylesheet" href="{static("orders/page.css")}">'
    if request.method == "POST":
        order = Order.objects.create()
        current_app.send_task(f"project.orders.tasks.{request.GET.get('task', 'deliver')}", [str(order.pk)])
        body = str(order.pk)
    return HttpResponse(body, headers={"X-Release": settings.RELEASE})
